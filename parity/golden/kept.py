"""What of a training a golden keeps: its states and its largest activations would make it large."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from parity.arrays.rounding import cast
from parity.judging.passes.loops import FLOAT32_STARTS
from parity.recording import OBSERVED_STEPS, Batch, Recording

SMALL_BYTES = 8 * 2**20
"""A training whose tensors take no more than this is kept whole."""


@dataclass(frozen=True)
class Kept:
    """Which part of a training there is, on either side of a check against a golden.

    Attributes:
        steps: those that can be taken in lockstep with it.
        given: layers' inputs that are an entry of the batch: of each, which entry. The data's digests stand for them.
            Their gradients are left out, since nothing that is trained depends on them.
    """

    steps: tuple[int, ...]
    given: Mapping[str, str] = field(default_factory=dict)

    def of(self, recording: Recording, steps: int) -> Recording:
        """A training of so many steps without what is not kept.

        The steps to take in lockstep need the state that they start from. Beside them the end stays, and every loss.
        """
        whole = {*self.steps, *(step - 1 for step in self.steps), steps - 1}
        found = Recording(recording.provenance)
        for (stage, step), group in recording.groups.items():
            if stage in ("data", "init", "score") or step in whole:
                left_out: Collection[str] = self.given if stage == "backward" else ()
                found.groups[stage, step] = {name: array for name, array in group.items() if name not in left_out}
            elif "loss" in group:
                found.groups[stage, step] = {"loss": group["loss"]}
        return found

    def without_given(self, recording: Recording) -> Recording:
        """The recording as it is stored, without the entries of the batch in its forward stage."""
        groups = {
            (stage, step): {n: a for n, a in group.items() if stage != "forward" or n not in self.given}
            for (stage, step), group in recording.groups.items()
        }
        return Recording(recording.provenance, groups)

    def with_given(self, recording: Recording, batches: Sequence[Batch]) -> Recording:
        """A stored recording with these entries, from batches of which the data stage tells whether they are the same.

        An entry that the batches lack is missing here too.
        """
        found = Recording(recording.provenance, dict(recording.groups))
        for (stage, step), group in recording.groups.items():
            if stage == "forward" and self.given:
                batch = cast(batches[step], recording.provenance.dtype)
                entries = {name: batch[entry] for name, entry in self.given.items() if entry in batch}
                found.groups[stage, step] = entries | group
        return found


def kept_of(recording: Recording, batches: Sequence[Batch], steps: int) -> Kept:
    """What to keep of a training of so many steps: all of it where it is small.

    Else the observed steps and those at which loops are started in float32, and no entries of the batch. So mnist with
    its 100 steps takes 40 MB, and not 345.
    """
    if sum(array.nbytes for group in recording.groups.values() for array in group.values()) <= SMALL_BYTES:
        return Kept(tuple(range(steps)))
    wanted = sorted({*range(OBSERVED_STEPS), *FLOAT32_STARTS})
    kept = tuple(step for step in wanted if step < steps)
    observed = [step for stage, step in recording.groups if stage == "forward" and step in kept]
    entries = [_entries(recording, step, batches[step]) for step in observed]
    return Kept(kept, {n: e for n, e in entries[0].items() if all(n in more for more in entries)} if entries else {})


def _entries(recording: Recording, step: int, batch: Batch) -> dict[str, str]:
    """The layers' inputs at a step that are a floating entry of the batch, bit for bit."""
    held = cast(batch, recording.provenance.dtype)
    return {
        name: entry
        for name, array in recording.of("forward", step).items() if not name.endswith("output")
        for entry, given in held.items()
        if array.dtype == given.dtype and array.shape == given.shape and np.array_equal(array, given)
    }  # fmt: skip
