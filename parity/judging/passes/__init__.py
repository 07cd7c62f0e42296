"""The runs of a check, each judged by its own rule: float64, float32, and the sides' own loops."""
