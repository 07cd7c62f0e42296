"""Two results of one machine: what became slower beyond noise, what is wrong now, and what is missing."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import fields
from statistics import median
from typing import Any, NamedTuple

from benchmarks.machine import other_machine as machines_differ
from benchmarks.noise import noise_at, other_work
from benchmarks.plan import Request, groups
from benchmarks.rows import full_name
from parity.errors import NotCheckable

WORSE = ("slower", "lost", "missing")
"""What a change for the worse is called."""
ENOUGH = 3
"""Rows that tell a drift: the median of three withstands one that changed by itself, that of two does not."""
OUTLIER = 3.5
"""Spreads by which a row stands out from its case. Source: Iglewicz and Hoaglin, How to Detect and Handle Outliers,
1993, who call an outlier what is further than that from the median."""
DEVIATIONS = 1.4826
"""A standard deviation in median absolute deviations, where errors are normal. Source: as above."""
LIBRARIES = {"torch": ("torch",), "jax": ("jax", "jaxlib", "flax", "optax")}
"""What a framework's rows are timed with."""
_SAYS = {
    ("right", "wrong"): "lost", ("wrong", "wrong"): "wrong in both", ("not run", "wrong"): "now wrong",
    ("right", "not run"): "not run", ("wrong", "not run"): "not run",
    ("wrong", "right"): "gained", ("not run", "right"): "gained",
}  # fmt: skip


class Change(NamedTuple):
    """A variant of a case in both results, or in the old one alone.

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


class _Both(NamedTuple):
    """A case that both results have: its noise, and its variants in the old and the new one."""

    name: str
    device: str
    noise: float | None
    rows: Sequence[tuple[Mapping[str, Any], Mapping[str, Any]]]


class _Drift(NamedTuple):
    """The factor by which the rows of a case changed together, and that by which one has to stand out from it."""

    factor: float
    margin: float


def compare(old: Mapping[str, Any], new: Mapping[str, Any], other_machine: bool = False) -> Comparison:
    """Every variant of every case that both results have, in the order of the new one; then what is missing there.

    Slower or faster is what both intervals and the noise of both results leave no doubt of. On a CPU, which is shared
    and never the same twice, a case is first freed of what all of it changed by, and a variant has to stand out from
    the others, too.

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
    steady = _steady(old["machine"]["versions"], new["machine"]["versions"])
    drifts = _drifts(cases, steady)
    found = [change for case, drift in zip(cases, drifts, strict=True) for change in _changes(case, drift)]
    if not found:
        raise NotCheckable("the results have no variant of a case in common: nothing is compared")
    notes = [*_conditions(old, new, steady), *filter(None, map(_told, cases, drifts))]
    return Comparison(found + _missing(old, new), notes)


def _both(
    old: Mapping[str, Any], earlier: Mapping[str, Any], new: Mapping[str, Any], entry: Mapping[str, Any]
) -> _Both:
    before = {full_name(found): found for found in earlier["variants"] if not found["twin"]}
    rows = [
        (before[full_name(found)], found)
        for found in entry["variants"]
        if not found["twin"] and full_name(found) in before
    ]
    known = [noise for noise in (noise_at(old, earlier), noise_at(new, entry)) if noise is not None]
    return _Both(entry["case"]["name"], entry["case"]["device"], max(known, default=None), rows)


def _steady(old: Mapping[str, str], new: Mapping[str, str]) -> list[str]:
    """The frameworks that tell what the machine's part is: those of one version in both results, or else all."""
    return [
        framework for framework, packages in LIBRARIES.items()
        if all(old.get(package) == new.get(package) for package in packages)
    ] or list(LIBRARIES)  # fmt: skip


def _drifts(cases: Sequence[_Both], steady: Sequence[str]) -> list[_Drift | None]:
    """The drift of each case, by its rows or, where they are too few, by those of all; None where these are, too.

    The spread of few rows is often small by luck, so that of all cases together is the least that counts.
    """
    changed = [_logarithms(case, steady) for case in cases]
    everywhere = [value for values in changed for value in values]
    usual = _spread([value - median(values) for values in changed if len(values) >= ENOUGH for value in values])
    drifts: list[_Drift | None] = []
    for case, values in zip(cases, changed, strict=True):
        taken = values if len(values) >= ENOUGH else everywhere
        if case.device != "cpu":
            drifts.append(_Drift(1.0, 1.0))
        elif len(taken) < ENOUGH:
            drifts.append(None)
        else:
            spread = max(usual, _spread([value - median(taken) for value in taken]))
            drifts.append(_Drift(math.exp(median(taken)), math.exp(OUTLIER * spread)))
    return drifts


def _logarithms(case: _Both, steady: Sequence[str]) -> list[float]:
    return [
        math.log(now["step_us"]["median"] / before["step_us"]["median"]) for before, now in case.rows
        if before["step_us"] and now["step_us"] and now["framework"] in steady
    ]  # fmt: skip


def _spread(residuals: Sequence[float]) -> float:
    """A standard deviation that a few large residuals do not move."""
    return DEVIATIONS * median(map(abs, residuals)) if residuals else 0.0


def _changes(case: _Both, drift: _Drift | None) -> list[Change]:
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


def _says(old: Mapping[str, Any], new: Mapping[str, Any], noise: float | None, drift: _Drift | None) -> str:
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


def _told(case: _Both, drift: _Drift | None) -> str:
    if drift is None or abs(math.log(drift.factor)) <= math.log(case.noise or 1.0):
        return ""
    return f"{case.name}: all of it takes {drift.factor:.3g} times as long as before; each row is judged beside that"
