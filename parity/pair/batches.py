"""Batches of random numbers, for a pair whose data says nothing about it: the same on both sides, drawn in NumPy."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from parity.errors import NotCheckable
from parity.recording import Array, Batch

LABELS = "labels"
"""The entry that `classes` speaks of."""


class Whole(NamedTuple):
    """Whole numbers from 0 up to, and without, `below`."""

    below: int
    shape: tuple[int, ...]


Entry = tuple[int, ...] | Whole


def whole(below: int, *shape: int) -> Whole:
    """An entry of whole numbers, int64, from 0 up to and without `below`: tokens, labels."""
    return Whole(below, shape)


@dataclass(frozen=True)
class RandomBatches:
    """The parts `batches` and `scored` of a pair. `steps` says how many there are to train on."""

    steps: int
    entries: Mapping[str, Entry]

    def __call__(self, seed: int, steps: int) -> list[Batch]:
        """A batch for each step."""
        return [self._batch(seed, 0, step) for step in range(steps)]

    def scored(self, seed: int) -> dict[str, Batch]:
        """One batch that no step sees."""
        return {"held out": self._batch(seed, 1, 0)}

    def _batch(self, *stream: int) -> Batch:
        generator = np.random.default_rng(stream)
        return {name: _drawn(generator, entry) for name, entry in self.entries.items()}


def random_batches(*, steps: int, classes: int | None = None, **entries: Entry) -> RandomBatches:
    """Batches with these entries, a shape each: standard normal, float64. `whole(...)` makes whole numbers.

    Args:
        steps: how many batches to train on, at least 1.
        classes: the entry `labels` holds whole numbers below this.
        entries: for each entry its shape, the examples first; `whole(below, *shape)` for tokens and the like.

    Raises:
        NotCheckable: there is no entry, one is no shape, or `classes` are told where there are no labels.
    """
    if classes is not None:
        if LABELS not in entries:
            raise NotCheckable(f"random_batches: classes are told, but there is no entry {LABELS!r}")
        if isinstance(entries[LABELS], Whole):
            raise NotCheckable(
                "random_batches: labels are whole(...), which says already below what: leave out classes"
            )
    if not entries:
        raise NotCheckable("random_batches: no entry: write images=(8, 3, 32, 32), for instance")
    for name, entry in entries.items():
        shape = entry.shape if isinstance(entry, Whole) else entry
        if not _is_shape(shape):
            raise NotCheckable(f"random_batches: {name} is {entry!r}: expected a shape, a tuple of sizes of at least 1")
    if classes is not None:
        entries |= {LABELS: Whole(classes, entries[LABELS])}  # type: ignore[arg-type]
    return RandomBatches(steps, entries)


def _is_shape(shape: object) -> bool:
    return isinstance(shape, tuple) and all(isinstance(size, int) and size > 0 for size in shape)


def _drawn(generator: np.random.Generator, entry: Entry) -> Array:
    if isinstance(entry, Whole):
        return generator.integers(0, entry.below, entry.shape)
    return generator.standard_normal(entry)
