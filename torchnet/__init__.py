"""Three problems in PyTorch: a line fit, an MLP and an MNIST classifier, and the ways to drive their training."""
