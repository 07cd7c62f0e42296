"""Sizes of products that suit matrix units, and parameters laid out for them. NumPy only.

A bias is the last row of its weight, for an input that is always 1. So an update has half as many arrays, nothing is
summed apart for a bias, and nothing is padded anew in every step.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from benchmarks.case import layers_of
from parity.recording import Arrays

UNITS = 16
"""A layer is a multiple of so many units wide, 64 bytes in float32; TF32's products want a multiple of 16 bytes.
Source: NVIDIA, Matrix Multiplication Background User's Guide."""
EXAMPLES = 128
"""And a batch of so many examples: the product that gives a weight's gradient sums over them in pieces of one size."""


class Layer(NamedTuple):
    """A linear layer, without what pads it."""

    name: str
    inputs: int
    outputs: int


class Sizes(NamedTuple):
    """A net of linear layers, first to last, how many examples its batch has, and what sizes become multiples of."""

    layers: tuple[Layer, ...]
    examples: int
    unit: int = UNITS

    @property
    def width(self) -> int:
        """How many numbers an example has, with the 1 behind its own and what pads them."""
        return multiple(self.layers[0].inputs + 1, self.unit)

    def carried(self, arrays: Arrays) -> Arrays:
        """A matrix for each layer: the weight, (inputs, outputs), below it the bias, around both 0."""
        found = {}
        for layer in self.layers:
            name, inputs, outputs = layer
            # Of a hidden layer's units, one is always 1. It is no output of the matrix: the activation sets it.
            width = outputs if layer == self.layers[-1] else outputs + 1
            shape = multiple(inputs + 1, self.unit), multiple(width, self.unit)
            matrix = np.zeros(shape, arrays[f"{name}.weight"].dtype)
            matrix[:inputs, :outputs] = arrays[f"{name}.weight"].T
            matrix[inputs, :outputs] = arrays[f"{name}.bias"]
            found[name] = matrix
        return found

    def arrays(self, carried: Arrays) -> Arrays:
        """What `carried` was given."""
        found = {}
        for name, inputs, outputs in self.layers:
            found[f"{name}.weight"] = np.ascontiguousarray(carried[name][:inputs, :outputs].T)
            found[f"{name}.bias"] = carried[name][inputs, :outputs].copy()
        return found


def sizes_of(parameters: Arrays, examples: int, unit: int = UNITS) -> Sizes:
    """The sizes of the net that has these parameters, weights (outputs, inputs)."""
    shapes = {layer: parameters[f"{layer}.weight"].shape for layer in layers_of(parameters)}
    return Sizes(tuple(Layer(name, inputs, outputs) for name, (outputs, inputs) in shapes.items()), examples, unit)


def multiple(size: int, unit: int) -> int:
    """The size, or the next larger multiple of the unit."""
    return size + -size % unit
