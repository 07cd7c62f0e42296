"""Free-running float32 training, which is chaotic: shown with its noise band, and not judged."""

from __future__ import annotations

from collections.abc import Mapping

from parity.factors import NOISE_DRAWS
from parity.live import LiveSide
from parity.recording import Framework
from parity.rounding import moved
from parity.verdict import Curves


def curves(live: Mapping[Framework, LiveSide], seed: int, steps: int) -> Curves:
    """The losses of each side, and how far each comes from itself when it starts one unit in the last place aside."""
    losses, band = {}, {}
    for framework, side in live.items():
        losses[framework] = _losses(side, seed, steps, draw=0)
        again = [_losses(side, seed, steps, draw) for draw in range(1, NOISE_DRAWS)]
        band[framework] = _band(losses[framework], again)
    return Curves(losses, band)


def _losses(side: LiveSide, seed: int, steps: int, draw: int) -> list[float]:
    initial = moved(side.initial(seed), min(draw, 1), seed + draw)
    batches = side.batches(seed, steps)
    return [float(step.gradients.loss) for step in side.run(initial, (batches[index] for index in range(steps)))]


def _band(base: list[float], again: list[list[float]]) -> list[float]:
    """The largest relative distance so far, step by step."""
    widest, band = 0.0, []
    for step, loss in enumerate(base):
        apart = max(abs(other[step] - loss) for other in again)
        widest = max(widest, apart / abs(loss) if loss else 0.0)
        band.append(widest)
    return band
