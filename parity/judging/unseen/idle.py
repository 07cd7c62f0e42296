"""What of torch's side did nothing in the run, or not all of it: whether JAX's has the same was not seen."""

from __future__ import annotations

from collections.abc import Collection

from parity.errors import listing
from parity.judging.unseen.layers import briefly

LINES = {
    "clip": "whether the jax side clips as torch's does: that changed no gradient in {}",
    "scheduler": "whether the jax side's rates change as torch's scheduler has them: that left them alone in {}",
    "turn": "whether the jax side goes over to another rule as torch's scheduler does: that is only after {}",
}
"""What stands around torch's optimizer; the others are operations of the model or the loss."""
OPERATIONS = "whether the jax side has what changed nothing on the torch side in {}: {}"


def idle_in_words(idle: Collection[str], steps: int, *, optimizer: bool) -> list[str]:
    """A line for each of these parts of the torch side that changed nothing in so many steps.

    Args:
        idle: what `parity.sides.checked.CheckedSide.idle` has.
        steps: of the run.
        optimizer: whether the JAX side has an optimizer of its own.
    """
    count = "1 step" if steps == 1 else f"{steps} steps"
    # What has done nothing at all need not be told twice.
    told = [part for part in LINES if part in idle and not (part == "turn" and "scheduler" in idle)]
    lines = [LINES[part].format(count) for part in told if optimizer]
    operations = briefly(sorted(set(idle) - LINES.keys()))
    return [*lines, *([OPERATIONS.format(count, listing(operations))] if operations else [])]
