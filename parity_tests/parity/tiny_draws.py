"""Draws of the tiny pair, which the engine's own tests check: a classifier small enough to be checked in a second."""

import numpy as np

from parity.recording import Arrays, Batch

FEATURES, CLASSES, EXAMPLES = 6, 4, 32


def draw_parameters(seed: int) -> Arrays:
    """Uniform in +-1/sqrt(features), float64."""
    generator = np.random.default_rng([seed, 0])
    bound = FEATURES**-0.5
    shapes = {"inner.weight": (FEATURES, FEATURES), "inner.bias": (FEATURES,)}
    shapes |= {"outer.weight": (CLASSES, FEATURES), "outer.bias": (CLASSES,)}
    return {name: generator.uniform(-bound, bound, shape) for name, shape in shapes.items()}


def batches(seed: int, steps: int) -> list[Batch]:
    """Inputs (examples, features) and labels (examples,) of every step."""
    return [_batch([seed, 1, step]) for step in range(steps)]


def scored(seed: int) -> dict[str, Batch]:
    """One batch that no step has seen."""
    return {"held out": _batch([seed, 2])}


def _batch(stream: list[int]) -> Batch:
    generator = np.random.default_rng(stream)
    inputs = generator.standard_normal((EXAMPLES, FEATURES))
    return {"inputs": inputs, "labels": np.argmax(inputs[:, :CLASSES], axis=1)}
