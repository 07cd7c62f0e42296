"""Is a JAX model the same as a PyTorch model?"""
