"""How far two arrays are apart, how far rounding alone can take them, and what such a limit is worth."""
