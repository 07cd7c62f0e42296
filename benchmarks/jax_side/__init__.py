"""The variants in JAX, and what is asked of JAX about the machine."""
