"""How far a side moves from itself when its parameters move by one unit in the last place."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from parity.difference import Scales, difference, exact
from parity.factors import NOISE_DRAWS
from parity.recording import Arrays, Key, Recording
from parity.rounding import moved

Noise = dict[Key, float]
Rerun = Callable[[Callable[[Arrays], Arrays]], Recording]
"""Runs a side again, its parameters taken through the function that it is given."""


def noise(base: Recording, rerun: Rerun, scales: Scales, seed: int) -> Noise:
    """The largest difference of each tensor from `base` over several draws, one of them an undisturbed repeat.

    Grows along the run: what two runs have drifted apart by some step, they may be apart later, too.
    """
    found: Noise = {}
    for draw in range(NOISE_DRAWS):
        again = rerun(partial(moved, ulps=min(draw, 1), seed=seed + draw))
        for key in again.flow():
            array, before = again.get(key), base.get(key)
            if array is None or before is None or exact(key, array) or key not in scales.of:
                continue
            found[key] = max(found.get(key, 0.0), difference(array, before, scales.of[key]))
    running: dict[tuple[str, str], float] = {}
    for key in sorted(found, key=Key.flow):
        name = (key.stage, key.tensor)
        found[key] = running[name] = max(running.get(name, 0.0), found[key])
    return found
