"""What a user declares: the pair, its batches, a checkpoint's weights, taps, what is frozen."""
