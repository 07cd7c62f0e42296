"""Two results of one machine: what became slower beyond noise, what is wrong now, and what is missing."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import Any, NamedTuple

from benchmarks.drift import LIBRARIES, TOGETHER, Both, Drift, drifts, moved, pairs_of, told, unchanged
from benchmarks.machine import other_machine as machines_differ
from benchmarks.noise import noise_at, other_work
from benchmarks.plan import Request, groups
from benchmarks.rows import full_name
from parity.errors import NotCheckable

WORSE = ("slower", "lost", "missing")
"""What a change for the worse is called."""
_SAYS = {
    ("right", "wrong"): "lost", ("wrong", "wrong"): "wrong in both", ("not run", "wrong"): "now wrong",
    ("right", "not run"): "not run", ("wrong", "not run"): "not run",
    ("wrong", "right"): "gained", ("not run", "right"): "gained",
}  # fmt: skip


class Change(NamedTuple):
    """A variant of a case in both results, or in the old one alone; or all of a case, or of one framework in it.

    `ratio` is new over old, `beside` the same over the drift of the case. `says` is, where both are right, slower,
    faster, same, noise not measured or drift not measured; else lost (was right, is wrong now), now wrong (was not
    run), wrong in both, gained (right now, was not), not run (now), or missing (asked for, and not there). What failed
    or was inconclusive counts as wrong. `why` is the new result's reason.
    """

    case: str
    variant: str
    old_us: float | None
    new_us: float | None
    ratio: float | None
    beside: float | None
    says: str
    why: str


class Comparison(NamedTuple):
    """Two results beside each other: what became of each variant, and in lines what both were measured under."""

    changes: Sequence[Change]
    notes: Sequence[str]


def compare(old: Mapping[str, Any], new: Mapping[str, Any], other_machine: bool = False) -> Comparison:
    """Every variant of every case that both results have, in the order of the new one; then what is missing there.

    Slower or faster is what both intervals and the noise of both results leave no doubt of. On a CPU, which is shared
    and never the same twice, a case is first freed of what all of it changed by, and a variant has to stand out from
    the others, too. What slowed a whole case down, or a framework of it beside the other, is a change of its own.

    Raises:
        NotCheckable: the results are of different machines and `other_machine` is not set, or have no case in common.
    """
    if not other_machine and (differs := machines_differ(old["machine"], new["machine"])):
        raise NotCheckable(
            f"the results are of different machines: {differs}; --other-machine compares them all the same"
        )
    before = {entry["case"]["name"]: entry for entry in old["cases"]}
    cases = [
        _both(old, earlier, new, entry) for entry in new["cases"] if (earlier := before.get(entry["case"]["name"]))
    ]
    steady = unchanged(old["machine"]["versions"], new["machine"]["versions"])
    known = drifts(cases, steady)
    found = [change for case, drift in zip(cases, known, strict=True) for change in _changes(case, drift)]
    if not found:
        raise NotCheckable("the results have no variant of a case in common: nothing is compared")
    for case, drift in zip(cases, known, strict=True):
        found += _together(case, None if other_machine else drift, steady)
    notes = [*_conditions(old, new, steady), *filter(None, map(told, cases, known))]
    return Comparison(found + _missing(old, new), notes)


def _together(case: Both, drift: Drift | None, steady: Sequence[str]) -> list[Change]:
    """What the drift of a case hides in its rows: all of it became slower, or one framework beside the other."""
    found = []
    if drift is not None and drift.factor > TOGETHER:
        why = "the machine, or all that is timed on it"
        found.append(Change(case.name, "all of it", None, None, drift.factor, None, "slower", why))
    if side := moved(case, steady):
        why = "beside the other framework, in the median over matched pairs"
        found.append(Change(case.name, f"all of {side.framework}", None, None, None, side.factor, side.says, why))
    return found


def _both(old: Mapping[str, Any], earlier: Mapping[str, Any], new: Mapping[str, Any], entry: Mapping[str, Any]) -> Both:
    before = {full_name(found): found for found in earlier["variants"] if not found["twin"]}
    rows = [
        (before[full_name(found)], found)
        for found in entry["variants"]
        if not found["twin"] and full_name(found) in before
    ]
    known = [noise for noise in (noise_at(old, earlier), noise_at(new, entry)) if noise is not None]
    return Both(
        entry["case"]["name"], entry["case"]["device"], max(known, default=None), rows, pairs_of(earlier, entry)
    )


def _changes(case: Both, drift: Drift | None) -> list[Change]:
    changes = []
    for before, now in case.rows:
        if _verdict(before) == _verdict(now) == "not run":
            continue
        was, is_now = (side["step_us"] and side["step_us"]["median"] for side in (before, now))
        ratio = is_now / was if was and is_now else None
        beside = ratio / drift.factor if ratio and drift else None
        says = _says(before, now, case.noise, drift)
        changes.append(Change(case.name, full_name(now), was, is_now, ratio, beside, says, now["reason"]))
    return changes


def _verdict(found: Mapping[str, Any]) -> str:
    """Right, wrong or not run. What failed or was inconclusive is wrong here."""
    verdict = found["verdict"]
    return verdict if verdict in ("right", "not run") else "wrong"


def _says(old: Mapping[str, Any], new: Mapping[str, Any], noise: float | None, drift: Drift | None) -> str:
    before, now = old["step_us"], new["step_us"]
    if not (before and now):
        return _SAYS[_verdict(old), _verdict(new)]
    if noise is None or drift is None:
        return "noise not measured" if noise is None else "drift not measured"
    low, middle, high = (now[part] / drift.factor for part in ("low", "median", "high"))
    apart = low > before["high"] or high < before["low"]
    ratio = middle / before["median"]
    if not apart or abs(math.log(ratio)) <= math.log(max(noise, drift.margin)):
        return "same"
    return "slower" if ratio > 1 else "faster"


def _missing(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[Change]:
    """What the old result has, and the new one was asked for and has not."""
    there = _rows(new)
    gone = {row: found for row, found in _rows(old).items() if row not in there and _verdict(found) != "not run"}
    if gone and _asked(old["request"]) != _asked(new["request"]):
        wanted = _planned(_asked(new["request"]))
        gone = {row: found for row, found in gone.items() if row in wanted}
    return [
        Change(case, variant, found["step_us"] and found["step_us"]["median"], None, None, None, "missing", "")
        for (case, variant), found in gone.items()
    ]


def _rows(document: Mapping[str, Any]) -> dict[tuple[str, str], Mapping[str, Any]]:
    return {
        (entry["case"]["name"], full_name(found)): found
        for entry in document["cases"] for found in entry["variants"] if not found["twin"]
    }  # fmt: skip


def _asked(request: Mapping[str, Any]) -> Request:
    """A request as it was, but for how often all of it was timed."""
    known: dict[str, Any] = {entry.name: request[entry.name] for entry in fields(Request)}
    known = {name: tuple(value) if isinstance(value, list) else value for name, value in known.items()}
    return Request(**known | {"rounds": None})


def _planned(request: Request) -> set[tuple[str, str]]:
    """The rows that a request is for, whether they can run here or not."""
    try:
        planned = groups(request)
    except NotCheckable as error:
        raise NotCheckable(f"what the new result was asked for is not known here: {error}") from error
    return {
        (group.case.name, variant.full_name)
        for group in planned
        for variant in (*(entry.variant for entry in group.entries), *(variant for variant, _ in group.left_out))
    }


def _conditions(old: Mapping[str, Any], new: Mapping[str, Any], steady: Sequence[str]) -> list[str]:
    """What both were measured with and under, where it differs or was in the way."""
    was, now = (document["machine"]["versions"] for document in (old, new))
    others = [f"{name} {was.get(name)}, now {now.get(name)}" for name in sorted(was | now)
              if was.get(name) != now.get(name)]  # fmt: skip
    notes = [f"versions: {'; '.join(others)}"] if others else []
    codes = [document.get("source") for document in (old, new)]
    if codes[0] != codes[1]:
        notes.append(f"this project's code: {codes[0] or 'unknown'}, now {codes[1] or 'unknown'}")
    if len(steady) < len(LIBRARIES):
        notes.append(f"drift is what the rows of {steady[0]} show, which is of one version in both")
    notes += [f"{which}: {doubt}" for which, one in (("old", old), ("new", new)) if (doubt := other_work(one))]
    return notes
