"""Numbers that were written in, such as the -1e9 of a mask: at other places than they should be, or beside others."""

from __future__ import annotations

import numpy as np

from parity.judging.distance.sentinels import may_hold_sentinels, sentinels
from parity.judging.hints.evidence import Apart, Case, Hint
from parity.recording import Array, Key


def of_a_mask(case: Case) -> Hint | None:
    """Where one side alone wrote in numbers; None where both did at the same places, or none did.

    What else can be told of such tensors would be told of these numbers alone, by their size.
    """
    here, there = case.expected.get(case.key), case.found.get(case.key)
    if here is None or there is None or here.shape != there.shape or not may_hold_sentinels(case.key):
        return None
    expected, found = (_written(array) for array in (here, there))
    if np.array_equal(expected, found):
        return None
    more, fewer = found & ~expected, expected & ~found
    parts = [f"masked at {_places(more, there)} where it is not {case.other}"] if more.any() else []
    parts += [f"not masked at {_places(fewer, here)} where it is {case.other}"] if fewer.any() else []
    return Hint(", and ".join(parts), None)


def beside_a_mask(key: Key, here: Array, there: Array) -> Apart:
    """How far two arrays are apart in what was computed; where that is the same, in what was written in, too.

    Numbers as large as those would be all that an explanation had to explain.
    """
    whole = Apart.of(here, there)
    if here.shape != there.shape or not may_hold_sentinels(key):
        return whole
    written = _written(here) & _written(there)
    computed = Apart.of(np.where(written, 0, here), np.where(written, 0, there))
    return computed if computed.far > computed.rounding else whole


def _written(array: Array) -> Array:
    marks = sentinels(array)
    return np.zeros(array.shape, bool) if marks is None else marks


def _places(marks: Array, array: Array) -> str:
    """How many, and by what number."""
    count = int(marks.sum())
    return f"{count} of {marks.size} places by {array[marks].flat[0]:g}"
