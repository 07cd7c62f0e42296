"""The weight map itself: parameters, gradients, moments and buffers from torch's names and layout to JAX's and back."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path
from typing import NamedTuple

import numpy as np

from parity.errors import NotCheckable
from parity.recording import Array, Arrays, Framework
from parity.weight_map.entry import Entry, Part


class Layer(NamedTuple):
    """The torch module that a JAX module is the counterpart of.

    `channels`: whether torch has the channels of its activations on axis 1, where JAX has them last.
    """

    torch: str
    channels: bool


def held_alone(side: str, name: str) -> str:
    """How a map lists a buffer that stands on one side only."""
    return f"{name} is held on the {side} side only"


@dataclass(frozen=True)
class Apart:
    """Arrays that stand on one side only, or under a second name.

    Attributes:
        torch: torch buffers that have no JAX counterpart.
        jax: JAX buffers that have no torch counterpart.
        zero: torch parameters that are left out because they are fixed at zero.
        tied: further names of a torch tensor, to the name that the entries use.
    """

    torch: tuple[str, ...] = ()
    jax: tuple[str, ...] = ()
    zero: tuple[str, ...] = ()
    tied: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class WeightMap:
    """Which torch tensor is which JAX leaf, and how one becomes the other.

    Attributes:
        entries: in the order of the torch model.
        listed: what a user should know of, one line each.
        layers: the path of each JAX module to its torch counterpart; of one that holds those of several layers, with
            the index of each behind it, as `blocks.widen[1]`.
        apart: what stands on one side only.
        by_order: pairs of layers that nothing but their order tells, in words; a file of the map does not have them.

    Raises:
        NotCheckable: an entry does not fit, or an array is mapped in part, doubly or under two shapes; all are named.
    """

    entries: tuple[Entry, ...]
    listed: list[str]
    layers: dict[str, Layer]
    apart: Apart = Apart()
    by_order: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        # First, since an entry that does not fit may have a part that its array has not.
        unfit = [e for e in self.entries if not (e.torch.fits() and e.jax.fits())]
        faults = [f"{entry}: not a part of its array" for entry in unfit]
        faults += [f"{e}: the steps lead to another shape" for e in self.entries if e not in unfit and not e.fits()]
        if not faults:
            faults = _uncovered([e.torch for e in self.entries]) + _uncovered([e.jax for e in self.entries])
        if faults:
            raise NotCheckable(f"not a weight map: {'; '.join(faults)}")

    def to_jax(self, arrays: Arrays) -> Arrays:
        """JAX leaves by dotted path, from torch tensors by full name: all parameters, all buffers, or both.

        Raises:
            NotCheckable: a name is missing or unknown, a shape is another, a parameter that is left out is not zero.
        """
        apart = self.apart
        for name in {*apart.zero} & arrays.keys():
            if np.any(arrays[name]):
                raise NotCheckable(f"{name} is left out of the weight map and must stay zero: fix it at zero in torch")
        for name, first in apart.tied.items():
            if name in arrays and first in arrays and arrays[name].tobytes() != arrays[first].tobytes():
                raise NotCheckable(f"{name} is tied to {first}, and holds other numbers")
        optional = {*apart.torch, *apart.zero, *apart.tied}
        entries = self._asked(arrays, "torch", lambda entry: entry.torch, optional)
        return _assembled((entry.jax, entry.to_jax(arrays[entry.torch.name])) for entry in entries)

    def to_torch(self, leaves: Arrays) -> Arrays:
        """The way back. What stands on the torch side only, and second names of tied tensors, are not in it.

        Raises:
            NotCheckable: a name is missing or unknown, or a shape is another.
        """
        entries = self._asked(leaves, "jax", lambda entry: entry.jax, {*self.apart.jax})
        return _assembled((entry.torch, entry.to_torch(leaves[entry.jax.name])) for entry in entries)

    def _asked(
        self, arrays: Arrays, framework: Framework, part: Callable[[Entry], Part], optional: set[str]
    ) -> list[Entry]:
        """The entries of the parameters, of the buffers, or of both: whichever `arrays` are."""
        wholes = {part(entry).name: part(entry).whole for entry in self.entries}
        kinds = {entry.buffer for entry in self.entries if part(entry).name in arrays}
        asked = [entry for entry in self.entries if entry.buffer in kinds]
        faults = []
        if missing := [name for name in dict.fromkeys(part(e).name for e in asked) if name not in arrays]:
            faults.append(f"missing: {', '.join(missing)}")
        if unknown := sorted(arrays.keys() - wholes.keys() - optional):
            faults.append(f"unknown: {', '.join(unknown)}")
        faults += [
            f"{name} has shape {list(array.shape)}, and not {list(wholes[name])}"
            for name, array in arrays.items()
            if name in wholes and array.shape != wholes[name]
        ]
        if faults:
            raise NotCheckable(f"not the {framework} arrays of this weight map: {'; '.join(faults)}")
        return asked

    def save(self, path: str | Path) -> None:
        """Write the map as JSON, one entry a line, whole or not at all.

        Raises:
            NotCheckable: the file cannot be written.
        """
        from parity.weight_map.file import save

        save(self, Path(path))

    @classmethod
    def load(cls, path: str | Path) -> WeightMap:
        """A map that was saved, and perhaps corrected by hand.

        Raises:
            NotCheckable: the file is missing, truncated, of another schema or version, or has a foreign entry.
        """
        from parity.weight_map.file import load

        return load(Path(path))

    def __str__(self) -> str:
        return "\n".join([*map(str, self.entries), *self.listed])


def _assembled(pieces: Iterable[tuple[Part, Array]]) -> Arrays:
    """Whole arrays of their own memory from their parts."""
    arrays: Arrays = {}
    for part, piece in pieces:
        array = arrays.setdefault(part.name, np.empty(part.whole, piece.dtype))
        if array.dtype != piece.dtype:
            raise NotCheckable(f"{part.name} is put together from {array.dtype} and {piece.dtype}: give both one dtype")
        part.of(array)[...] = piece
    return arrays


def _uncovered(parts: Sequence[Part]) -> list[str]:
    """What is wrong with how the parts cover their arrays: each array must be covered once."""
    by_name = defaultdict(list)
    for part in parts:
        by_name[part.name].append(part)
    return [f"{name} {fault}" for name, group in by_name.items() if (fault := _cover_fault(group))]


def _cover_fault(group: list[Part]) -> str:
    if len({part.whole for part in group}) > 1:
        return f"has two shapes, {' and '.join(str(list(part.whole)) for part in group[:2])}"
    stacked = {tuple(sorted(axis for axis, _ in part.at)) for part in group}
    if len(stacked) > 1:
        return "is mapped more than once"
    by_place = defaultdict(list)
    for part in group:
        by_place[tuple(sorted(part.at))].append(part)
    for place in product(*([(axis, index) for index in range(group[0].whole[axis])] for axis in stacked.pop())):
        at = f" at {', '.join(str(index) for _, index in place)}" if place else ""
        if place not in by_place:
            return f"is not mapped{at}"
        if fault := _slices_fault(by_place[place]):
            return f"{at.strip()} {fault}".strip()
    return ""


def _slices_fault(group: list[Part]) -> str:
    """The same of the slices of one array, be it one of several that are stacked."""
    if group[0].axis is None and len(group) == 1:
        return ""
    axes = {part.axis for part in group}
    if axes != {group[0].axis} or group[0].axis is None:
        return "is mapped more than once"
    end = 0
    for start, stop in sorted((part.start, part.stop) for part in group):
        if start != end:
            return "is mapped more than once" if start < end else f"is not mapped at {end}:{start}"
        end = stop
    size = group[0].one[group[0].axis]
    return "" if end == size else f"is not mapped at {end}:{size}"
