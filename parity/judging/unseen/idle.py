"""What stands around torch's optimizer and did nothing in the run, or not all: if JAX's has the same was not seen."""

from __future__ import annotations

from collections.abc import Collection

LINES = {
    "clip": "torch's clip changed no gradient in {}: whether the jax side clips alike was not seen",
    "scheduler": "torch's scheduler left the rates as they are in {}: "
    "whether the jax side changes them alike was not seen",
    "turn": "torch's scheduler goes over to another rule only after {}: whether the jax side does so was not seen",
}


def idle_in_words(idle: Collection[str], steps: int) -> list[str]:
    """A line for each of these parts of the torch side that changed nothing in so many steps."""
    # What has done nothing at all need not be told twice.
    told = [part for part in LINES if part in idle and not (part == "turn" and "scheduler" in idle)]
    return [LINES[part].format("1 step" if steps == 1 else f"{steps} steps") for part in told]
