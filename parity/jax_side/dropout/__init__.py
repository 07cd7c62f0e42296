"""Dropout as torch's side has it: the same masks, drawn in NumPy, wherever a JAX model draws them."""
