"""Differences that are not everywhere: only a slice differs, and the rest is the same to rounding."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from parity.judging.hints.evidence import Apart, Hint
from parity.recording import Array

ENOUGH = 3
"""An axis of fewer entries has no slice that is worth to be told."""


def only_a_slice(apart: Apart, within: Callable[[Apart], Iterator[Hint]]) -> Iterator[Hint]:
    """Along one axis only one entry differs, or a run of at most half of them.

    `within` tells what the slice itself looks like.
    """
    if apart.here.shape != apart.there.shape or apart.far <= 2 * apart.rounding:
        return
    wrong = np.abs(apart.change) > apart.rounding
    for axis, entries in enumerate(wrong.shape):
        at = np.flatnonzero(wrong.any(axis=tuple(index for index in range(wrong.ndim) if index != axis)))
        run = len(at) and int(at[-1] - at[0]) + 1
        if entries < ENOUGH or not 0 < run <= entries // 2 or run != len(at):
            continue
        place = (*[slice(None)] * axis, slice(int(at[0]), int(at[-1]) + 1))
        inner = Apart(apart.here[place], apart.there[place], apart.eps)
        what = next(within(inner), None)
        words = f"different only at {_where(at, entries)} of axis {axis}"
        rest = float(np.max(np.abs(np.delete(apart.change, at, axis)))) / apart.far
        yield Hint(f"{words}, there {what.words}" if what else words, what.left if what else rest)


def _where(at: Array, entries: int) -> str:
    first, last = int(at[0]), int(at[-1])
    if first == last:
        name = {0: ", the first", entries - 1: ", the last"}.get(first, "")
        return f"{first}{name} of {entries} entries"
    return f"{first} to {last} of {entries} entries"
