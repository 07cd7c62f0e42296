"""Which steps of a training a golden keeps: its states are what makes it large."""

from __future__ import annotations

from collections.abc import Collection

from parity.judging.loops import FLOAT32_STARTS
from parity.recording import OBSERVED_STEPS, Recording

SMALL_BYTES = 8 * 2**20
"""A training whose tensors take no more than this is kept whole."""


def kept_steps(recording: Recording, steps: int) -> tuple[int, ...]:
    """The steps that can be taken in lockstep with a training as a golden keeps it.

    All where it is small; else the observed ones, and those of `FLOAT32_STARTS`. Mnist, 100 steps: 345 MB whole.
    """
    size = sum(array.nbytes for group in recording.groups.values() for array in group.values())
    wanted = range(steps) if size <= SMALL_BYTES else {*range(OBSERVED_STEPS), *FLOAT32_STARTS}
    return tuple(step for step in sorted(wanted) if step < steps)


def thinned(recording: Recording, kept: Collection[int] | None, steps: int) -> Recording:
    """A training of so many steps without what the steps of `kept` do not need; None: as it is.

    They need the state that they start from. Beside them the end stays, and the loss of every step.
    """
    if kept is None:
        return recording
    whole = {*kept, *(step - 1 for step in kept), steps - 1}
    found = Recording(recording.provenance)
    for (stage, step), group in recording.groups.items():
        if stage in ("data", "init", "score") or step in whole:
            found.groups[stage, step] = group
        elif "loss" in group and stage in ("loss", "trajectory"):
            found.groups[stage, step] = {"loss": group["loss"]}
    return found
