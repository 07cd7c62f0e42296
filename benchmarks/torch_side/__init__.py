"""The variants in PyTorch, and what is asked of PyTorch about the machine."""
