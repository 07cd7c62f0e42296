"""A step of the MNIST classifier in three kernels: what they work on, and how much of it a program takes. NumPy only.

1. `first_layer`: the first layer, which most of the arithmetic is, a tile of examples and units to each program.
2. `there_and_back`: the second and third layer, the loss, and the gradients of what comes out of each layer.
3. `update`: each weight's gradient and Adam's update of it, a tile of weights to each program.

Each kernel needs all of the one before; less than three would leave most of the GPU idle in the first layer. Both sides
have these kernels, under these names: in Triton and in Pallas.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from benchmarks.case import BETAS
from benchmarks.padding import EXAMPLES, Sizes, multiple, sizes_of
from parity.recording import Array, Arrays

COLUMNS = 128
"""Of the matrix of weights: a layer has at most as many units, with the one that is always 1."""
EDGE = 32
"""Of a tile of weights. The third layer takes up one column of tiles: so many digits there may be."""
INPUTS = 64
"""The first layer's inputs become a multiple of so many, with the one that is always 1."""


class Tile(NamedTuple):
    """What a program takes: examples, inputs and units; and its warps, and loads under way at once.

    A product is summed over so many at once: inputs, or, for the gradient of a weight, examples.
    """

    examples: int
    inputs: int
    units: int
    warps: int = 4
    stages: int = 4


class Tiles(NamedTuple):
    """What a program of each kernel takes."""

    first_layer: Tile
    there_and_back: Tile
    update: Tile


TF32 = Tiles(Tile(32, INPUTS, 32), Tile(16, INPUTS, COLUMNS, stages=3), Tile(64, EDGE, EDGE))
WHOLE = Tiles(Tile(32, 32, 32), Tile(16, 32, COLUMNS, stages=3), Tile(32, EDGE, EDGE))
"""For factors that are rounded, and for those that are not, which take up more registers.

Chosen by what compilers make of them for an H100, with none at hand: no registers spilled, few loads from shared memory
for each multiplication, and a program for nearly each of its 132 processors.
"""


class Stack(NamedTuple):
    """The weights of the net as one matrix: a layer below the other, each (inputs, COLUMNS) with its bias and padding.

    What goes into the layers stands side by side in a table as wide as the matrix is high, an example in each row.
    """

    sizes: Sizes

    @property
    def first(self) -> int:
        """Rows of the first layer."""
        return self.sizes.width

    @property
    def height(self) -> int:
        """Rows of all three layers."""
        return self.first + 2 * COLUMNS

    @property
    def examples(self) -> int:
        """Examples of a batch, with those that fill it up."""
        return multiple(self.sizes.examples, EXAMPLES)

    @property
    def units(self) -> int:
        """Units of a hidden layer."""
        return self.sizes.layers[0].outputs

    @property
    def digits(self) -> int:
        """Units of the last layer."""
        return self.sizes.layers[-1].outputs

    @property
    def tiles(self) -> int:
        """Programs of the update: all columns of the first two layers, and the first of the third."""
        return (self.first + COLUMNS) // EDGE * (COLUMNS // EDGE) + COLUMNS // EDGE

    def matrix(self, arrays: Arrays) -> Array:
        """The matrix of these weights and biases."""
        carried = self.sizes.carried(arrays)
        return np.concatenate([np.pad(held, ((0, 0), (0, COLUMNS - held.shape[1]))) for held in carried.values()])

    def arrays(self, matrix: Array) -> Arrays:
        """What `matrix` was given."""
        layers = np.split(matrix, [self.first, self.first + COLUMNS])
        return self.sizes.arrays({layer.name: held for layer, held in zip(self.sizes.layers, layers, strict=True)})


def stack_of(parameters: Arrays, examples: int) -> Stack:
    """The stack of the net that has these parameters, weights (outputs, inputs), and so many examples in its batch.

    Raises:
        ValueError: its hidden layers have other units than fit.
    """
    stack = Stack(sizes_of(parameters, examples, INPUTS))
    if multiple(stack.units + 1, INPUTS) != COLUMNS:
        raise ValueError(f"hidden layers have {stack.units} units: expected {COLUMNS - INPUTS} to {COLUMNS - 1}")
    return stack


def corrections(steps_before: int, count: int, learning_rate: float) -> Array:
    """For each of `count` steps, Adam's step size and the root of its second bias correction, (count, 2).

    Source: Kingma and Ba, Adam, 2015, section 2, the order of operations that needs no corrected means.
    """
    steps = steps_before + 1 + np.arange(count)
    first, second = (-np.expm1(steps * np.log(beta)) for beta in BETAS)
    return np.stack([learning_rate / first, np.sqrt(second)], axis=1)
