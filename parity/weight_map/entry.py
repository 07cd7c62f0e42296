"""One entry of the weight map: a part of a torch tensor, a part of a JAX leaf, and the steps from one to the other."""

from __future__ import annotations

from typing import NamedTuple

from parity.recording import Array
from parity.weight_map.outline import Shape
from parity.weight_map.steps import Step, back, forth, shape_through


class Part(NamedTuple):
    """An array, or the slice `start:stop` of it along `axis`; `whole` is the shape of all of it."""

    name: str
    whole: Shape
    axis: int | None = None
    start: int = 0
    stop: int = 0

    @property
    def shape(self) -> Shape:
        """The shape of the part."""
        if self.axis is None:
            return self.whole
        return (*self.whole[: self.axis], self.stop - self.start, *self.whole[self.axis + 1 :])

    def slice(self, axis: int, index: int, count: int) -> Part:
        """One of `count` equal slices of a whole array along `axis`, the first being 0."""
        size = self.whole[axis] // count
        return Part(self.name, self.whole, axis, index * size, (index + 1) * size)

    def of(self, array: Array) -> Array:
        """What the part is of its array, as a view."""
        if self.axis is None:
            return array
        return array[(slice(None),) * self.axis + (slice(self.start, self.stop),)]

    def fits(self) -> bool:
        """Whether an array of that shape has such a part."""
        if self.axis is None:
            return self.start == self.stop == 0
        return 0 <= self.axis < len(self.whole) and 0 <= self.start < self.stop <= self.whole[self.axis]

    def __str__(self) -> str:
        where = "" if self.axis is None else f"[{':, ' * self.axis}{self.start}:{self.stop}]"
        return f"{self.name}{where} {list(self.whole)}"


class Entry(NamedTuple):
    """Which part of which torch tensor is which part of which JAX leaf, and how. Buffers are not trained."""

    torch: Part
    steps: tuple[Step, ...]
    jax: Part
    buffer: bool

    def fits(self) -> bool:
        """Whether the steps lead from the shape of the one part to that of the other."""
        return shape_through(self.steps, self.torch.shape) == self.jax.shape

    def to_jax(self, tensor: Array) -> Array:
        """What the torch tensor says of the JAX part."""
        return forth(self.steps, self.torch.of(tensor))

    def to_torch(self, leaf: Array) -> Array:
        """What the JAX leaf says of the torch part."""
        return back(self.steps, self.jax.of(leaf), self.torch.shape)

    def __str__(self) -> str:
        return f"{self.torch} -> {self.jax}, {', '.join(map(str, self.steps)) or 'as is'}"
