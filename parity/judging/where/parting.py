"""Where the two sides of a float64 run part, and what of it computes in float32, told by handing each place its own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from parity.judging.distance.difference import difference
from parity.judging.distance.factors import FLOAT64_CEILING, FLOAT64_FLOOR
from parity.judging.hints.precision import OF_FLOAT32
from parity.judging.where.casts import Casts, casts, hint, hint_of_dtype, on_sides, told
from parity.judging.where.starts import starts, wheres
from parity.recording import FRAMEWORKS, PLACE, Arrays, Framework, Key
from parity.sides.runs import Progress
from parity.verdict import Comparison

if TYPE_CHECKING:
    from parity.judging.findings import Findings


def parting(findings: Findings, tell: Progress) -> None:
    """Find where differences start and what computes in float32, if there is a reason to ask.

    What computes in float32 unless that is declared is a difference, also where both sides come to the same by it. So
    is what follows a declared layer and is wrong by itself: handed what the judge has, it is in float64 again.
    """
    first = min((c.key for c in _wrong(findings)), key=Key.flow, default=None)
    parts = first is not None and first.stage == "forward"
    step = first.step if first is not None and parts else 0
    forward = findings.judge.of("forward", step)
    given = {name: array for name, array in forward.items() if name not in findings.unshown.tensors}
    if not given or not (parts or findings.inside.layers or _any_lowered(findings, step)):
        return
    tell("float64: where it starts" if parts else "float64: what computes in float32")
    sides = {framework: partial(_taught, findings, framework, step) for framework in findings.running}
    # What draws numbers of its own answers nothing twice.
    found = {} if findings.drew else casts(sides, given)
    findings.casts = {name: on for name, on in found.items() if name not in findings.inside.places}
    findings.listed[:0] = told(findings.casts, wheres(given))
    other = findings.other
    taught = sides[other](given) if other in sides else {}
    _forbid(findings, taught, step)
    findings.listed += _not_needed(findings, found, given, taught, step)
    if any(c.key[:2] == ("forward", step) for c in _wrong(findings)):
        findings.starts = starts(
            findings.judge, step, taught, findings.scales, findings.unshown.tensors,
            casts=findings.casts, inside=findings.inside.places,
        )  # fmt: skip


def _wrong(findings: Findings) -> list[Comparison]:
    """What differs in float64 in the engine's own steps."""
    return [c for c in findings.comparisons if c.outcome == "differ" and c.dtype == "float64" and c.loop is None]


class InFloat32(NamedTuple):
    """What is in float32, in words, and whether it is at the very place."""

    words: str = ""
    here: bool = False


def in_float32(findings: Findings, first: Comparison) -> InFloat32:
    """What is in float32 where a first difference of float32's size shows, or else what lies nearest before it."""
    step, name = first.key.step, first.key.tensor
    of_its_size = first.dtype == "float64" and first.loop is None and first.difference <= OF_FLOAT32[1]
    forward = findings.judge.of("forward", step)
    seen = forward and first.key.stage in ("forward", "loss") and name not in findings.inside.places
    if not (of_its_size and seen):
        return InFloat32()
    order = [place for place in forward if place not in findings.unshown.tensors]
    where = wheres([*order, "loss"])
    if name in findings.casts:
        return InFloat32(hint(where[name], findings.casts[name]), here=True)
    found = {framework: _lowered(findings, framework, step) for framework in findings.running}
    for place in reversed([*where][: [*where].index(name) + 1]):
        sides = [framework for framework in FRAMEWORKS if place in found.get(framework, ())]
        if sides and place not in findings.inside.places:
            return InFloat32(hint_of_dtype(where[place], sides, before=place != name), place == name)
    return InFloat32()


def _any_lowered(findings: Findings, step: int) -> bool:
    """Whether any side that runs has numbers in float32: reason to ask what they do, also where nothing differs."""
    return any(_lowered(findings, framework, step) for framework in findings.running)


def _lowered(findings: Findings, framework: Framework, step: int) -> list[str]:
    live = findings.running[framework].float64
    batch = live.batches(findings.seed, findings.pair.steps)[step]
    return live.lowered(findings.judge.state_before(step).parameters, batch)


def _taught(findings: Findings, framework: Framework, step: int, given: Arrays) -> Arrays:
    """What a running side finds at every place of the pass of a step, from the judge's state."""
    live = findings.running[framework].float64
    batch = live.batches(findings.seed, findings.pair.steps)[step]
    return live.taught(findings.judge.state_before(step).parameters, batch, given)


def _forbid(findings: Findings, taught: Arrays, step: int) -> None:
    """Let differ what is within its limit although it computes in float32 undeclared, or is wrong by itself."""
    for index, c in enumerate(findings.comparisons):
        name, follows = c.key.tensor, findings.inside.holds(c.key)
        here = c.key[:2] == ("forward", step) and (c.dtype, c.loop, c.outcome) == ("float64", None, "agree")
        # What the model gives belongs to no layer that could be declared.
        if not here or name in findings.inside.places or (follows and not PLACE.match(name)):
            continue
        if name in findings.casts:
            note = f"computed in float32 {on_sides(findings.casts[name])}, which the pair does not declare"
            findings.comparisons[index] = replace(c, outcome="differ", note=note, cause="")
        elif follows and (apart := _alone(findings, c.key, taught)) > FLOAT64_CEILING:
            note = f"difference {apart:.2g}, limit {FLOAT64_CEILING:.2g}, where it is handed what the judge has"
            wrong = replace(c, difference=apart, limit=FLOAT64_CEILING, outcome="differ", note=note, cause="")
            findings.comparisons[index] = wrong


def _alone(findings: Findings, key: Key, taught: Arrays) -> float:
    """How far a place is from the judge's by what is done there alone; 0 where a side does not show it."""
    expected, found = findings.judge.get(key), taught.get(key.tensor)
    if expected is None or found is None or found.shape != expected.shape:
        return 0.0
    return difference(found, expected, findings.scales.of[key], key)


def _not_needed(findings: Findings, found: Casts, given: Mapping[str, object], taught: Arrays, step: int) -> list[str]:
    """A line for the declared layers that neither compute in float32 nor differ by more than float64 may."""
    lines = []
    for layer, places in findings.inside.by_layer(given):
        seen = places and taught and not findings.drew
        apart = (_alone(findings, Key("forward", step, name), taught) for name in places)
        if seen and not any(name in found for name in places) and all(share <= FLOAT64_FLOOR for share in apart):
            lines.append(layer)
    said = "float32_inside: nothing in {} was seen to compute in float32 on either side: it need not be declared"
    return [said.format(layer) for layer in lines]
