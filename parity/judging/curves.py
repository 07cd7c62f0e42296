"""Free-running float32 training, which is chaotic: shown with its noise band, and not judged."""

from __future__ import annotations

from collections.abc import Mapping

from parity.live import LiveSide
from parity.recording import Framework
from parity.rounding import moved
from parity.verdict import Curves


def curves(live: Mapping[Framework, LiveSide], seed: int, steps: int) -> Curves:
    """The losses of each side, and how far each comes from itself when it starts one unit in the last place aside."""
    losses, band = {}, {}
    for framework, side in live.items():
        losses[framework] = _losses(side, seed, steps, ulps=0)
        band[framework] = _band(losses[framework], _losses(side, seed, steps, ulps=1))
    return Curves(losses, band)


def _losses(side: LiveSide, seed: int, steps: int, ulps: int) -> list[float]:
    initial = moved(side.initial(seed), ulps, seed)
    batches = side.batches(seed, steps)
    return side.losses(initial, (batches[index] for index in range(steps)))


def _band(base: list[float], aside: list[float]) -> list[float]:
    """The largest relative distance so far, step by step."""
    widest, band = 0.0, []
    for loss, other in zip(base, aside, strict=True):
        widest = max(widest, abs(other - loss) / abs(loss) if loss else 0.0)
        band.append(widest)
    return band
