"""The steps that a tensor takes from one layout to the other: each only moves numbers, so each has its way back."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Literal, NamedTuple

import numpy as np

from parity.errors import NotCheckable
from parity.recording import Array
from parity.weight_map.outline import Shape

Move = Literal["permute", "reshape", "flip"]


class Step(NamedTuple):
    """One step: `permute` the axes into this order, `reshape` to these sizes, or `flip` along these axes."""

    move: Move
    numbers: tuple[int, ...]

    def shape_after(self, shape: Shape) -> Shape:
        """The shape that an array of `shape` has after this step.

        Raises:
            NotCheckable: no array of that shape can take this step.
        """
        if self.move == "reshape":
            if prod(self.numbers) != prod(shape) or min(self.numbers, default=1) < 0:
                raise NotCheckable(f"a tensor of shape {list(shape)} cannot take the step {self}: another size")
            return self.numbers
        axes = set(self.numbers)
        fits = axes == set(range(len(shape))) if self.move == "permute" else axes <= set(range(len(shape)))
        if not fits or len(axes) != len(self.numbers):
            raise NotCheckable(f"a tensor of shape {list(shape)} cannot take the step {self}: other axes")
        return tuple(shape[axis] for axis in self.numbers) if self.move == "permute" else shape

    def apply(self, array: Array) -> Array:
        """`array` after this step."""
        if self.move == "permute":
            return np.transpose(array, self.numbers)
        return np.reshape(array, self.numbers) if self.move == "reshape" else np.flip(array, self.numbers)

    def back(self, shape: Shape) -> Step:
        """The step that leads back to an array of `shape`, which stood before this one."""
        if self.move == "permute":
            return Step("permute", tuple(int(axis) for axis in np.argsort(self.numbers)))
        return Step("reshape", shape) if self.move == "reshape" else self

    def __str__(self) -> str:
        numbers = " ".join(map(str, self.numbers))
        return "transpose" if self == TRANSPOSE else f"{self.move} {numbers}".rstrip()


TRANSPOSE = Step("permute", (1, 0))


def chain(*steps: Step, start: Shape) -> tuple[Step, ...]:
    """The steps that change something about an array of shape `start`, in their order."""
    kept: list[Step] = []
    for step in steps:
        if not _idle(step, start):
            kept.append(step)
            start = step.shape_after(start)
    return tuple(kept)


def _idle(step: Step, shape: Shape) -> bool:
    if step.move == "permute":
        return step.numbers == tuple(range(len(shape)))
    return step.numbers == shape if step.move == "reshape" else not step.numbers


def shape_through(steps: Sequence[Step], shape: Shape) -> Shape:
    """The shape that an array of `shape` has after all steps."""
    for step in steps:
        shape = step.shape_after(shape)
    return shape


def forth(steps: Sequence[Step], array: Array) -> Array:
    """`array` after all steps."""
    for step in steps:
        array = step.apply(array)
    return array


def back(steps: Sequence[Step], array: Array, shape: Shape) -> Array:
    """The array of `shape` from which the steps lead to `array`."""
    shapes = [shape]
    for step in steps:
        shapes.append(step.shape_after(shapes[-1]))
    for step, before in zip(reversed(steps), reversed(shapes[:-1]), strict=True):
        array = step.back(before).apply(array)
    return array
