"""What a difference looks like, where it has a known shape. A hint with its evidence, never a finding."""
