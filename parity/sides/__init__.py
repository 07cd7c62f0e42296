"""A side of a pair: made of its parts, running in a dtype, recorded, and what a check asks of it."""
