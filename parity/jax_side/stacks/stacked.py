"""Layers whose arrays a JAX model holds in one array for all of them: told from each other by what they hold."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from itertools import count
from typing import Any, NamedTuple

import numpy as np

from parity.jax_side.place import Place
from parity.recording import Array, Arrays
from parity.weight_map.entry import Entry
from parity.weight_map.outline import Shape
from parity.weight_map.stacked import in_stack
from parity.weight_map.weight_map import WeightMap

BASE = 128
"""Numbers below this are exact in every dtype, bfloat16 too."""


class _One(NamedTuple):
    """One of the arrays that a leaf holds."""

    leaf: str
    indices: tuple[int, ...]


class Stacked:
    """The layers of a model that are stacked.

    Each of their arrays has a number. A model that is filled with the numbers instead of weights tells of every layer
    that is called in a turn of a loop which one it is, whatever order and axis the loop has.

    Attributes:
        paths: of the JAX modules that hold several layers.
        slices: the shapes that arrays have in a turn of a loop over layers.
    """

    def __init__(self, weight_map: WeightMap, places: Mapping[str, Place]) -> None:
        self._entries = weight_map.entries
        self._places = {path: place for path, place in places.items() if path.endswith("]")}
        self._names: dict[str, list[str]] = defaultdict(list)
        for path, place in self._places.items():
            self._names[path.partition("[")[0]].append(place.name)
        self.paths = frozenset(self._names)
        self.slices = frozenset(shape for entry in self._entries for shape in _slices(entry))
        ones = dict.fromkeys(_One(entry.jax.name, entry.jax.indices) for entry in self._entries if entry.jax.at)
        self._numbers = dict(zip(ones, count(1), strict=False))
        self._ones = dict(enumerate(ones, 1))
        self._alike: dict[frozenset[tuple[str, Shape]], list[str]] = defaultdict(list)
        for path, names in self._names.items():
            for of_one in (True, False):
                self._alike[self._held(path, of_one=of_one)] += names

    @property
    def digits(self) -> int:
        """How many digits the numbers have."""
        return 1 + int(np.emath.logn(BASE, len(self._numbers)))

    def arrays(self, digit: int) -> Arrays:
        """Torch's arrays, filled with a digit of the numbers; what is not stacked makes all that rests on it NaN."""
        found: Arrays = {}
        for entry in self._entries:
            held = found.setdefault(entry.torch.name, np.full(entry.torch.whole, 0.0 if entry.buffer else np.nan))
            if entry.jax.at:
                number = self._numbers[_One(entry.jax.name, entry.jax.indices)]
                entry.torch.of(held)[...] = number // BASE**digit % BASE
        return found

    def is_one(self, number: int) -> bool:
        """Whether an array has that number."""
        return number in self._ones

    def place(self, held: Mapping[str, int]) -> Place | None:
        """The layer that holds arrays of these numbers, by their names in it; None where that is none of these."""
        paths = {_path(self._ones.get(number), own) for own, number in held.items()}
        path = paths.pop() if len(paths) == 1 else None
        return None if path is None else self._places.get(path)

    def alike(self, held: Mapping[str, Shape]) -> list[str]:
        """The layers that may be meant by one that holds arrays of these shapes."""
        return self._alike.get(frozenset(held.items()), [])

    def _held(self, path: str, *, of_one: bool) -> frozenset[tuple[str, Shape]]:
        """What a module holds, by its names and shapes, one of its layers or all of them."""
        inside = f"{path}." if path else ""
        return frozenset(
            (entry.jax.name.removeprefix(inside), entry.jax.one if of_one else entry.jax.whole)
            for entry in self._entries
            if entry.jax.name.startswith(inside)
        )


def numbers(digits: Sequence[Any]) -> list[int]:
    """The numbers that stand in arrays, from the smallest and the largest of each digit; -1: not one throughout."""
    low, high = _ends(digits)
    one = _are_digits(low) & (low == high).all(axis=0)
    return [int(number) for number in np.where(one, _together(low), -1)]


def are_numbers(digits: Sequence[Any]) -> bool:
    """Whether nothing but numbers of stacked arrays can stand in arrays, be it several in each."""
    low, high = _ends(digits)
    return bool(np.all(_are_digits(low) & _are_digits(high) & (_together(high) > 0)))


def _ends(digits: Sequence[Any]) -> tuple[Array, Array]:
    """The smallest and the largest of each digit, a row for each digit and a column for each array."""
    low, high = np.moveaxis(np.asarray(digits, np.float64).reshape(len(digits), -1, 2), -1, 0)
    return low, high


def _are_digits(found: Array) -> Array:
    whole: Array = ((found >= 0) & (found < BASE) & (found == np.floor(found))).all(axis=0)
    return whole


def _together(digits: Array) -> Array:
    total: Array = sum(row * BASE**power for power, row in enumerate(np.nan_to_num(digits)))
    return total


def _slices(entry: Entry) -> Iterator[Shape]:
    taken: set[int] = set()
    for axis, _ in entry.jax.at:
        taken.add(axis)
        yield tuple(size for own, size in enumerate(entry.jax.whole) if own not in taken)


def _path(one: _One | None, own: str) -> str | None:
    """The path of the layer that calls one of the stacked arrays so."""
    if one is None or not f".{one.leaf}".endswith(f".{own}"):
        return None
    return in_stack(f".{one.leaf}".removesuffix(f".{own}").removeprefix("."), one.indices)
