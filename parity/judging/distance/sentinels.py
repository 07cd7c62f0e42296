"""Numbers that were written in and not computed, such as the -1e9 of a mask: they have no part in a tensor's scale.

Beside a -1e9 a logit of 1 could be anything: a limit of 1e-12 of the scale would be 1e-3 of it. So where activations
or outputs hold such numbers, these are compared each in its own size, and all the others in theirs.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from parity.judging.distance.factors import SENTINEL, SENTINEL_GAP
from parity.recording import Array, Key
from parity.verdict import EPS

TOP = 3e38
"""Next to the largest numbers of float32 and of bfloat16. A mask may hold the lowest of whatever dtype it runs in."""

SUMMED = 1000 * EPS["float64"]
"""What rounding may leave of a sum, as a share of what was summed. A single number beyond the gap was not summed."""


def may_hold_sentinels(key: Key) -> bool:
    """Whether a tensor may: activations and outputs may. A gradient or a parameter that large was computed."""
    return key.stage in ("forward", "score")


def sentinels(array: Array) -> Array | None:
    """Which numbers were written in, as true and false; None where none were.

    Infinities were, and numbers from `SENTINEL` on that `SENTINEL_GAP` sets apart from all smaller ones, unless these
    may be what rounding left of sums of numbers as large.
    """
    sizes = np.abs(array)
    if not (array.size and sizes.max() >= SENTINEL):
        return None
    known = np.unique(sizes[sizes > 0]).astype(np.float64)
    below, above = known[:-1], known[1:]
    with np.errstate(over="ignore"):
        apart = np.flatnonzero((above >= SENTINEL) & (above / below >= SENTINEL_GAP))
    least = np.inf
    if apart.size and (len(known) - apart[0] == 2 or below[apart[0]] > SUMMED * above[apart[0]]):
        least = above[apart[0]]
    found: Array = sizes >= least
    return found if found.any() else None


def without_sentinels(key: Key, array: Array) -> Array:
    """The tensor of a key with 0 for the numbers that were written in."""
    written = sentinels(array) if may_hold_sentinels(key) else None
    return array if written is None else np.where(written, 0, array)


def infinities_apart(a: Array, b: Array) -> bool:
    """Whether one of two arrays is infinite where the other is not, or with another sign."""
    return bool((np.isinf(a) | np.isinf(b))[a != b].any())


def has_more(a: Array, b: Array) -> bool:
    """Whether the first of two arrays is infinite where the other is not."""
    return bool((np.isinf(a) & ~np.isinf(b)).any())


def apart_beside_sentinels(a: Array, b: Array, apart: Callable[[Array, Array], float]) -> float | None:
    """How far a is from b, as `apart` tells it of what was computed; None where neither has sentinels.

    What was written in on both sides counts by its share of its own size: 1 is as far as the largest of the others.
    """
    marks = [sentinels(array) for array in (a, b)]
    if all(mark is None for mark in marks):
        return None
    if infinities_apart(a, b):
        return float("inf")
    written = np.logical_and.reduce([np.zeros(a.shape, bool) if mark is None else mark for mark in marks])
    there = [np.where(written, 0, array).astype(np.float64) for array in (a, b)]
    size = max(float(np.max(np.abs(array), initial=0.0)) for array in there)
    return max(apart(*there), _share(a[written], b[written]) * size)


def _share(a: Array, b: Array) -> float:
    """The largest difference of two sentinels as a share of their size, 0 to 2."""
    a, b = a.astype(np.float64), b.astype(np.float64)
    lowest = (np.minimum(np.abs(a), np.abs(b)) >= TOP) & (np.sign(a) == np.sign(b))
    differ = (a != b) & ~lowest
    a, b = a[differ], b[differ]
    size = np.maximum(np.abs(a), np.abs(b))
    return float(np.max(np.abs(a / size - b / size), initial=0.0))
