"""The PyTorch half of the engine: the only folder of `parity` that imports torch."""
