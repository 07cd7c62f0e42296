"""What the recordings and the tables of figures in a golden are called."""

from __future__ import annotations

FREE, LOCKSTEP, LOCKSTEP64 = "float64", "float32", "float64 in lockstep"
ON_CPU, CURVE, FLIPPED = "float64 on the CPU", "curve", "flipped"


def coarse_name(dtype: str) -> str:
    """What the table of a dtype's coarse distances is called."""
    return f"coarse {dtype}"


def driven_name(loop: str) -> str:
    """What the recording of a loop over all steps is called."""
    return f"float64 {loop}"


def loop_step_name(loop: str, start: int) -> str:
    """What the recording of one step of a loop is called."""
    return f"float32 {loop} from {start}"
