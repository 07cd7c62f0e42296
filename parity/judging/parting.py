"""Where the two sides of a float64 run part, and what of it computes in float32, told by handing each place its own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from parity.judging.casts import Casts, casts, hint, hint_of_dtype, on_sides, suspected, told
from parity.judging.difference import difference
from parity.judging.factors import FLOAT64_FLOOR
from parity.judging.float32 import OTHER
from parity.judging.hints.precision import OF_FLOAT32
from parity.judging.starts import starts, wheres
from parity.recording import FRAMEWORKS, Arrays, Framework, Key
from parity.runs import Progress
from parity.verdict import Comparison

if TYPE_CHECKING:
    from parity.check import Findings


def parting(findings: Findings, tell: Progress) -> None:
    """Find where differences start and what computes in float32, if there is a reason to ask.

    What computes in float32 unless that is declared is a difference, also where both sides come to the same by it.
    """
    wrong = [c.key for c in findings.comparisons if c.outcome == "differ" and c.dtype == "float64" and c.loop is None]
    first = min(wrong, key=Key.flow, default=None)
    parts = first is not None and first.stage == "forward"
    step = first.step if first is not None and parts else 0
    forward = findings.judge.of("forward", step)
    given = {name: array for name, array in forward.items() if name not in findings.unshown.tensors}
    if not given or not (parts or findings.inside.layers or suspected(given)):
        return
    tell("float64: where it starts" if parts else "float64: what computes in float32")
    sides = {framework: partial(_taught, findings, framework, step) for framework in findings.running}
    # What draws numbers of its own answers nothing twice.
    found = {} if findings.drew else casts(sides, given)
    findings.casts = {name: on for name, on in found.items() if name not in findings.inside.places}
    findings.listed[:0] = told(findings.casts, wheres(given))
    _forbid(findings, step)
    other = OTHER[findings.judging]
    if other in sides and (parts or findings.inside.layers):
        taught = sides[other](given)
        findings.listed += _not_needed(findings, found, given, taught, step)
        if parts:
            findings.starts = starts(
                findings.judge, step, taught, findings.scales, findings.unshown.tensors,
                casts=findings.casts, inside=findings.inside.places,
            )  # fmt: skip


class InFloat32(NamedTuple):
    """What is in float32, in words, and whether it is at the very place."""

    words: str = ""
    here: bool = False


def in_float32(findings: Findings, first: Comparison) -> InFloat32:
    """What is in float32 where a first difference of float32's size shows, or else what lies nearest before it."""
    step, name = first.key.step, first.key.tensor
    of_its_size = first.dtype == "float64" and first.loop is None and first.difference <= OF_FLOAT32[1]
    forward = findings.judge.of("forward", step)
    seen = forward and first.key.stage in ("forward", "loss") and not findings.inside.holds(first.key)
    if not (of_its_size and seen):
        return InFloat32()
    order = [place for place in forward if place not in findings.unshown.tensors]
    where = wheres([*order, "loss"])
    if name in findings.casts:
        return InFloat32(hint(where[name], findings.casts[name]), here=True)
    found = {framework: _lowered(findings, framework, step) for framework in findings.running}
    for place in reversed([*where][: [*where].index(name) + 1]):
        if sides := [framework for framework in FRAMEWORKS if place in found.get(framework, ())]:
            return InFloat32(hint_of_dtype(where[place], sides, before=place != name), place == name)
    return InFloat32()


def _lowered(findings: Findings, framework: Framework, step: int) -> list[str]:
    live = findings.running[framework].float64
    batch = live.batches(findings.seed, findings.pair.steps)[step]
    return live.lowered(findings.judge.state_before(step).parameters, batch)


def _taught(findings: Findings, framework: Framework, step: int, given: Arrays) -> Arrays:
    """What a running side finds at every place of the pass of a step, from the judge's state."""
    live = findings.running[framework].float64
    batch = live.batches(findings.seed, findings.pair.steps)[step]
    return live.taught(findings.judge.state_before(step).parameters, batch, given)


def _forbid(findings: Findings, step: int) -> None:
    """Let what computes in float32 differ, undeclared, where it is within float64's limit."""
    for index, c in enumerate(findings.comparisons):
        sides = findings.casts.get(c.key.tensor, ()) if c.key[:2] == ("forward", step) else ()
        if sides and c.dtype == "float64" and c.outcome == "agree" and not findings.inside.holds(c.key):
            note = f"computed in float32 {on_sides(sides)}, which the pair does not declare"
            findings.comparisons[index] = replace(c, outcome="differ", note=note)


def _not_needed(findings: Findings, found: Casts, given: Mapping[str, object], taught: Arrays, step: int) -> list[str]:
    """A line for the declared layers that neither compute in float32 nor differ by more than float64 may."""
    judge, scales, lines = findings.judge, findings.scales, []
    for layer, places in findings.inside.by_layer(given):
        apart = (
            difference(taught[name], judge.of("forward", step)[name], scales.of[Key("forward", step, name)])
            for name in places if name in taught
        )  # fmt: skip
        seen = places and not findings.drew
        if seen and not any(name in found for name in places) and all(share <= FLOAT64_FLOOR for share in apart):
            lines.append(layer)
    said = "float32_inside: nothing in {} was seen to compute in float32 on either side: it need not be declared"
    return [said.format(layer) for layer in lines]
