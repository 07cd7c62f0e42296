"""What is asked of parameters that are declared frozen: that nothing moves them. Nothing else of them is compared."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from parity.judging.distance.difference import difference, fault, largest
from parity.judging.unseen.layers import Unshown
from parity.judging.unseen.whose import held, whose
from parity.recording import FRAMEWORKS, Array, Dtype, Framework, Key, Recording, keys_of
from parity.verdict import Comparison


def without_frozen(unshown: Unshown, frozen: frozenset[str], sides: Mapping[Framework, Recording]) -> Unshown:
    """What is not compared, the trajectory's gradients of frozen parameters and the optimizer's memory of them added.

    One framework may not compute them at all, where the other does so in vain.
    """
    if not frozen:
        return unshown
    arrays = held(*sides.values())
    keys = keys_of(*sides.values())
    named = {key.tensor for key in keys if key.tensor not in arrays and whose(key, arrays) in frozen}
    line = f"frozen: {', '.join(sorted(frozen))}: neither their gradients nor their moments are compared"
    return unshown._replace(tensors=unshown.tensors | named, listed=(*unshown.listed, line))


def compare_frozen(sides: Mapping[Framework, Recording], frozen: frozenset[str], dtype: Dtype) -> list[Comparison]:
    """Every frozen parameter after every step of both sides, bit for bit beside what it was at the start."""
    return [_compared(key, sides, dtype) for key in keys_of(*sides.values()) if stands_still(key, frozen)]


def stands_still(key: Key, frozen: frozenset[str]) -> bool:
    """Whether a key is that of a frozen parameter after a step, of which no wrong step can be told by a limit."""
    return key.after_update and key.tensor in frozen


def _compared(key: Key, sides: Mapping[Framework, Recording], dtype: Dtype) -> Comparison:
    found = {side: sides[side].get(key) for side in FRAMEWORKS}
    for side, array in found.items():
        if why := fault(array, side, dtype):
            return Comparison(key, dtype, None, None, float("inf"), 0.0, None, "differ", *why)
    moved = {side: far for side, array in found.items() if (far := _moved(array, sides[side], key)) > 0}
    if not moved:
        return Comparison(key, dtype, None, None, 0.0, 0.0, None, "agree")
    where = "both sides" if len(moved) > 1 else f"the {next(iter(moved))} side"
    note = f"declared frozen, and moved on {where}"
    return Comparison(key, dtype, None, None, max(moved.values()), 0.0, None, "differ", note)


def _moved(array: Array | None, recording: Recording, key: Key) -> float:
    """How far a parameter is from where it began, in the scale of that."""
    start = recording.of("init", 0)[key.tensor]
    assert array is not None
    return 0.0 if np.array_equal(array, start) else difference(array, start, largest(start))
