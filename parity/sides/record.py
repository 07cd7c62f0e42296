"""`record`: what one side of a pair does, without a comparison."""

from __future__ import annotations

from parity.errors import NotCheckable
from parity.pair.pair import Pair
from parity.recording import FRAMEWORKS, Device, Dtype, Framework, Recording
from parity.sides.live import live_side
from parity.sides.runs import free_run


def record(
    pair: Pair, framework: Framework, *, seed: int = 0, dtype: Dtype = "float64", device: Device = "cpu"
) -> Recording:
    """All that one side does in a free-running training of the pair's steps, as named NumPy arrays.

    Raises:
        NotCheckable: the framework, a part or the device is missing, or the side's own code raised.
    """
    if framework not in FRAMEWORKS:
        raise NotCheckable(f"no side is called {framework!r}: a pair has the sides torch and jax")
    return free_run(live_side(pair.side(framework), framework, dtype, device), seed, pair.steps, stages=pair.stages)
