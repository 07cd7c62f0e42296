"""Free-running float32 training, which is chaotic: shown with its noise band, and not judged."""

from __future__ import annotations

from functools import partial

from parity.arrays.rounding import moved
from parity.sides.checked import Curve
from parity.sides.live import LiveSide, parameters_moved


def curve(side: LiveSide, seed: int, steps: int) -> Curve:
    """The losses of a side, and how far it comes from itself when it starts one unit in the last place aside."""
    losses = _losses(side, seed, steps, ulps=0)
    return Curve(losses, _band(losses, _losses(side, seed, steps, ulps=1)))


def _losses(side: LiveSide, seed: int, steps: int, ulps: int) -> list[float]:
    initial = parameters_moved(side, side.initial(seed), partial(moved, ulps=ulps, seed=seed))
    batches = side.batches(seed, steps)
    return side.losses(initial, (batches[index] for index in range(steps)))


def _band(base: list[float], aside: list[float]) -> list[float]:
    """The largest relative distance so far, step by step."""
    widest, band = 0.0, []
    for loss, other in zip(base, aside, strict=True):
        widest = max(widest, abs(other - loss) / abs(loss) if loss else 0.0)
        band.append(widest)
    return band
