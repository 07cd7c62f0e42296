"""Where differences start: every layer and every segment that differs although it was handed the same."""

from __future__ import annotations

from parity.judging.difference import Scales, difference, largest
from parity.judging.factors import FLOAT64_FLOOR
from parity.recording import PLACE, Arrays, Key, Recording
from parity.verdict import Start


def starts(judge: Recording, step: int, taught: Arrays, scales: Scales, skipped: frozenset[str]) -> list[Start]:
    """The places of a pass that do not follow from what the judge has before them, in the order of the flow.

    `taught` is what a side found at every place where it was handed what the judge has there and before. So a
    difference at the output of a layer is the layer's own, and one at an input or a tap is that of the segment before
    it. A tap inside a layer divides that.
    """
    found, before = [], "the batch"
    for name, expected in judge.of("forward", step).items():
        if name in skipped:
            continue
        array = taught.get(name)
        if array is not None and array.shape == expected.shape:
            key = Key("forward", step, name)
            apart = difference(array, expected, scales.of.get(key, largest(expected)))
            if not apart <= FLOAT64_FLOOR:
                found.append(Start(key, apart, _where(name, before)))
        before = name
    return found


def _where(name: str, before: str) -> str:
    match, last = PLACE.match(name), PLACE.match(before)
    if match is not None and match["what"] == "output" and not (last is not None and last["what"] == "tap"):
        return f"in layer {name.rpartition('.')[0]}"
    return f"between {before} and {name}"
