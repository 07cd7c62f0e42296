"""How far a side moves from itself when its parameters move by one unit in the last place."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial

from parity.arrays.rounding import moved
from parity.judging.distance.difference import Scales, scaled
from parity.judging.distance.drift import Drift
from parity.judging.distance.factors import NOISE_DRAWS
from parity.recording import Arrays, Key, Recording

Rerun = Callable[[Callable[[Arrays], Arrays], Recording], object]
"""Runs a side again, its parameters taken through the function that it is given, into the recording."""


class Noise:
    """The largest difference of each tensor from itself over several draws, the last an undisturbed repeat.

    A draw is a whole run, so it is made only when the draws before it do not explain a difference: more draws can only
    raise a limit. Noise grows along the run: what two runs have drifted apart by some step, they may be apart later.
    """

    def __init__(self, base: Recording, rerun: Rerun, scales: Scales, seed: int) -> None:
        self._base, self._rerun, self._scales, self._seed = base, rerun, scales, seed
        self._found: dict[Key, float] = {}
        self._draws = 0

    def of(self, key: Key) -> float:
        """The noise of a tensor over the draws so far; 0 before the first."""
        return self._found.get(key, 0.0)

    def draw(self) -> bool:
        """Make one more draw. False where all have been made."""
        if self._draws == NOISE_DRAWS:
            return False
        self._draws += 1
        running: dict[tuple[str, str], float] = {}
        for key, aside in self._drawn(self._draws).items():
            if key not in self._scales.of:
                continue
            name = (key.stage, key.tensor)
            here = max(self.of(key), scaled(aside, self._scales.of[key]))
            self._found[key] = running[name] = max(running.get(name, 0.0), here)
        return True

    def _drawn(self, draw: int) -> Mapping[Key, float]:
        return aside(self._base, self._rerun, self._seed, draw)


class RecordedNoise(Noise):
    """The noise of a side that was recorded, from what `aside` found in each draw."""

    def __init__(self, draws: Sequence[Mapping[Key, float]], scales: Scales) -> None:
        self._draws_made, self._scales = draws, scales
        self._found: dict[Key, float] = {}
        self._draws = 0

    def _drawn(self, draw: int) -> Mapping[Key, float]:
        return self._draws_made[draw - 1]


def aside(base: Recording, rerun: Rerun, seed: int, draw: int) -> dict[Key, float]:
    """How far every tensor came from the `base` in a draw, 1 to `NOISE_DRAWS`, in absolute values."""
    ulps, drift = 0 if draw == NOISE_DRAWS else 1, Drift(base)
    rerun(partial(moved, ulps=ulps, seed=seed + draw, dtype=base.provenance.dtype), drift)
    return drift.apart
