"""What is done with named NumPy arrays: rounded, moved, drawn, nested."""
