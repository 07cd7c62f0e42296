"""What stands around torch's optimizer and did nothing in the run: whether JAX's has the same was not seen."""

from __future__ import annotations

from collections.abc import Collection

LINES = {
    "clip": "torch's clip changed no gradient in {}: whether the jax side clips alike was not seen",
    "scheduler": "torch's scheduler left the rates as they are in {}: "
    "whether the jax side changes them alike was not seen",
}


def idle_in_words(idle: Collection[str], steps: int) -> list[str]:
    """A line for each of these parts of the torch side that changed nothing in so many steps."""
    return [line.format("1 step" if steps == 1 else f"{steps} steps") for part, line in LINES.items() if part in idle]
