"""From recordings to a verdict: differences and their limits, what the limits are worth, and what is said of it."""
