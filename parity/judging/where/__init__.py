"""Where in a model differences start, and what a verdict keeps of that place."""
