"""The runs of a check, each judged by its own rule: float64, float32, bfloat16, and the sides' own loops."""
