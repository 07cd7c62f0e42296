"""One entry of the weight map: a part of a torch tensor, a part of a JAX leaf, and the steps from one to the other."""

from __future__ import annotations

from typing import NamedTuple

from parity.recording import Array
from parity.weight_map.outline import Shape
from parity.weight_map.steps import Step, back, forth, shape_through


class Part(NamedTuple):
    """An array, one of the arrays that are stacked in it, or a slice of either; `whole` is the shape of all of it.

    Attributes:
        axis: along which it is the slice `start:stop`, counted in what `at` leaves; None: no slice.
        at: the place of the one array along each axis on which others are stacked, as (axis of the whole, index).
    """

    name: str
    whole: Shape
    axis: int | None = None
    start: int = 0
    stop: int = 0
    at: tuple[tuple[int, int], ...] = ()

    @property
    def indices(self) -> tuple[int, ...]:
        """Which of the arrays that are stacked it is, along each axis on which they are."""
        return tuple(index for _, index in self.at)

    @property
    def one(self) -> Shape:
        """The shape of one of the arrays that are stacked, or of the only one."""
        if not self.at:
            return self.whole
        picked = dict(self.at)
        return tuple(size for axis, size in enumerate(self.whole) if axis not in picked)

    @property
    def shape(self) -> Shape:
        """The shape of the part."""
        if self.axis is None:
            return self.one
        return (*self.one[: self.axis], self.stop - self.start, *self.one[self.axis + 1 :])

    def slice(self, axis: int, index: int, count: int) -> Part:
        """One of `count` equal slices of a whole array along `axis`, the first being 0."""
        size = self.whole[axis] // count
        return Part(self.name, self.whole, axis, index * size, (index + 1) * size)

    def pick(self, axis: int, index: int) -> Part:
        """One of the arrays that are stacked along `axis` of this one."""
        left = [own for own in range(len(self.whole)) if own not in dict(self.at)]
        return self._replace(at=(*self.at, (left[axis], index)))

    def of(self, array: Array) -> Array:
        """What the part is of its array, as a view."""
        if self.at:
            picked = dict(self.at)
            array = array[(*(picked.get(axis, slice(None)) for axis in range(len(self.whole))), ...)]
        if self.axis is None:
            return array
        return array[(slice(None),) * self.axis + (slice(self.start, self.stop),)]

    def fits(self) -> bool:
        """Whether an array of that shape has such a part."""
        picked, size = dict(self.at), len(self.whole)
        if len(picked) != len(self.at) or not all(a in range(size) and i in range(self.whole[a]) for a, i in self.at):
            return False
        if self.axis is None:
            return self.start == self.stop == 0
        return 0 <= self.axis < len(self.one) and 0 <= self.start < self.stop <= self.one[self.axis]

    def __str__(self) -> str:
        cuts = [":"] * len(self.one)
        if self.axis is not None:
            cuts[self.axis] = f"{self.start}:{self.stop}"
        for axis, index in sorted(self.at):
            cuts.insert(axis, str(index))
        while cuts and cuts[-1] == ":":
            cuts.pop()
        where = f"[{', '.join(cuts)}]" if cuts else ""
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
