"""Where differences start: every layer and every segment that differs although it was handed the same."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from parity.judging.distance.difference import Scales, difference, largest
from parity.judging.distance.factors import FLOAT64_FLOOR
from parity.judging.distance.limits import narrowest
from parity.judging.distance.sentinels import without_sentinels
from parity.judging.where.casts import Casts, on_sides
from parity.recording import PLACE, Arrays, Key, Recording
from parity.verdict import Start


def starts(
    judge: Recording, step: int, taught: Arrays, scales: Scales, skipped: frozenset[str], *,
    casts: Casts, inside: Collection[str],
) -> list[Start]:  # fmt: skip
    """The places of a pass that do not follow from what the judge has before them, in the order of the flow.

    `taught` is what a side found at every place where it was handed what the judge has there and before. So a
    difference at the output of a layer is the layer's own, and one at an input or a tap is that of the segment before
    it. A tap inside a layer divides that. Places that compute in float32 are told as such; those `inside` a layer that
    is declared to may differ by as much.
    """
    forward, found = judge.of("forward", step), []
    for name, where in wheres(forward, skipped).items():
        array, expected = taught.get(name), forward[name]
        if array is not None and array.shape == expected.shape:
            key = Key("forward", step, name)
            apart = difference(array, expected, scales.of.get(key, largest(without_sentinels(key, expected))), key)
            limit = narrowest("float32") if name in inside else FLOAT64_FLOOR
            if not apart <= limit:
                told = f" in float32 {on_sides(casts[name])}" if name in casts else ""
                found.append(Start(key, apart, f"{where}{told}"))
    return found


def wheres(names: Iterable[str], skipped: Collection[str] = ()) -> dict[str, str]:
    """For each recorded place of a pass, in words, where that is which follows from the places before it."""
    found, before = dict[str, str](), "the batch"
    for name in names:
        if name not in skipped:
            found[name] = _where(name, before)
            before = name
    return found


def _where(name: str, before: str) -> str:
    match, last = PLACE.match(name), PLACE.match(before)
    if match is not None and match["what"] == "output" and not (last is not None and last["what"] == "tap"):
        return f"in layer {name.rpartition('.')[0]}"
    return f"between {before} and {name}"
