"""The two sides against the clock and against the machine's limits; only what is right is counted."""
