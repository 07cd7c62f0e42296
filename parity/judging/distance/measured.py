"""A float32 recording of which the distances from the judge are kept, and not the tensors."""

from __future__ import annotations

import math
from collections.abc import Collection
from dataclasses import dataclass, field

from parity.judging.distance.difference import apart, exact, fault
from parity.recording import Array, Key, Recording

KEPT = float("nan")
"""Stands for the distance of a tensor that is kept itself."""


@dataclass
class Measured(Recording):
    """A recording whose groups hold only what no distance can stand for.

    Attributes:
        distances: for every tensor, in the order of the flow, how far it is from the judge's in absolute values;
            `KEPT` for those that the groups hold.
    """

    distances: dict[Key, float] = field(default_factory=dict)

    def flow(self) -> list[Key]:
        """The names of all tensors, kept or not."""
        return list(self.distances)


def measured(recording: Recording, judge: Recording, frozen: Collection[str]) -> Measured:
    """A float32 recording in the distances of its tensors from the judge's.

    Kept are the tensors that are compared bit by bit, `frozen` parameters among them, outputs, of which the predictions
    are read, and whatever cannot be measured, so that it is found wherever it is compared: what is not finite, not
    float32, of another shape or not in the judge.
    """
    found = Measured(recording.provenance)
    for key in recording.flow():
        array, expected = recording.of(key.stage, key.step)[key.tensor], judge.get(key)
        found.distances[key] = KEPT if key.tensor in frozen else _distance(key, array, expected)
        if math.isnan(found.distances[key]):
            found.add(key.stage, key.step, {key.tensor: array})
    return found


def _distance(key: Key, array: Array, expected: Array | None) -> float:
    if exact(key, array) or key.stage == "score" or fault(array, "", "float32", key):
        return KEPT
    return KEPT if expected is None or array.shape != expected.shape else apart(array, expected, key)


def distance_told(recording: Recording, key: Key) -> float | None:
    """How far a tensor that is not kept is from the judge's, in absolute values; None where the tensor is there."""
    found = recording.distances.get(key, KEPT) if isinstance(recording, Measured) else KEPT
    return None if math.isnan(found) else found
