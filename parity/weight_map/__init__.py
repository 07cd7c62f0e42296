"""The weight map: which torch tensor is which JAX leaf, and how one becomes the other, bit for bit."""
