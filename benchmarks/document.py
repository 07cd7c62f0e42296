"""The result of a benchmark as one JSON document, made from what the store holds. Its schema stands beside it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from benchmarks.case import Case
from benchmarks.ceilings import ceilings_of, least_s
from benchmarks.floor import Ceilings, Work, floor_us, work_of
from benchmarks.plan import Entry, Group, baseline
from benchmarks.session import OTHERS, run_name
from benchmarks.statistics import Interval, beyond, by_round, interval, noise_of, ratio
from benchmarks.store import Store
from benchmarks.variants import PAIRS, Variant
from benchmarks.worker import wrong_precision

SCHEMA_VERSION = 2
"""Raised with every change that a reader of older documents would notice."""
SCHEMA = Path(__file__).parent / "result.schema.json"

Found = dict[str, Any]
Seconds = dict[tuple[int, int], float]
"""Of runs, as `by_round` has them."""
IMPOSSIBLE = 0.5
"""A run is wrong in less than this share of its floor, which a machine that others use may have shown too high, though
it was measured once more where a run was faster than it."""


def case_entry(group: Group, store: Store, rounds: int, failures: Mapping[tuple[str, str], str]) -> Found:
    """All that was found of one case. A variant that is not right has no time."""
    case = group.case
    ceilings, work = ceilings_of(case, store), work_of(case)
    found = {
        entry: _variant(case, entry, store, rounds, failures.get((case.name, entry.name), ""))
        for entry in group.entries
    }
    seconds = {
        entry: by_round(found[entry]["runs"])
        for entry in group.entries if found[entry]["verdict"] == "right"
    }  # fmt: skip
    for entry, runs in seconds.items():
        found[entry] |= _times(case, runs, work, ceilings, found[entry]["kernels_per_step"])
    first = {entry.variant: runs for entry, runs in seconds.items() if not entry.twin}
    for entry in seconds:
        found[entry] |= _beside_notebook(case, entry, found, seconds[entry], first)
    twins = _twins(seconds, first)
    noise = noise_of([Interval(**twin["ratio"]) for twin in twins])
    return {
        "case": case.document() | {"name": case.name},
        "work": asdict(work),
        "ceilings": ceilings and ceilings.document(),
        "others": store.get(case.name, OTHERS),
        "variants": [found[entry] for entry in group.entries]
        + [_not_run(variant, why) for variant, why in group.left_out],
        "twins": twins,
        "noise": noise if twins else None,
        "pairs": _pairs(first, noise, bool(twins)),
    }


def _variant(case: Case, entry: Entry, store: Store, rounds: int, failure: str) -> Found:
    """What was found of one entry, and its verdict, without anything that is derived from its times."""
    parts = {part: store.get(case.name, entry.name, part) for part in ("cold", "start", "describe", "check")}
    runs = [store.get(case.name, entry.name, run_name(index)) for index in range(rounds)]
    if failure or any(parts[part] is None for part in ("start", "describe", "check")) or None in runs:
        verdict = "failed" if failure else "not run"
        return _entry(entry.variant, entry.twin, verdict, failure or "stopped before it was finished")
    described = parts["describe"]
    verdict, reason = _verdict(case, parts["check"], described, runs, least_s(case, store))
    return _entry(entry.variant, entry.twin, verdict, reason) | {
        "check": parts["check"],
        "mantissa_bits": described["mantissa_bits"],
        "runs": [
            {"round": index} | {name: run[name] for name in ("session", "seconds") if name in run}
            for index, run in enumerate(runs) if verdict == "right"
        ],
        "startup": {"cold": parts["cold"] or None, "warm": parts["start"] or None} if verdict == "right" else None,
        "memory": {name: described[name] for name in ("peak_bytes", "resident_bytes", "driver_bytes")},
        "kernels_per_step": described["kernels_per_step"],
        "accuracy": described["accuracy"],
        "provenance": described["provenance"],
    }  # fmt: skip


def _verdict(case: Case, check: Found, described: Found, runs: Sequence[Found], least: float) -> tuple[str, str]:
    """Right, or not counted and why: the time and the clock first, then precision, then what the run came to."""
    fastest = min(run["seconds"] for run in runs)
    if fastest < IMPOSSIBLE * least:
        return "wrong", (
            f"a run took {fastest:.1e} s, and its arithmetic and memory traffic take {least:.1e} s here: something was "
            "kept, or left to be done behind the clock, or other work slowed what the machine was measured to do"
        )
    if not all(run["settled"] for run in runs):
        return "wrong", "the clock stopped before there was a result and all of it was done"
    if why := wrong_precision(case, described["mantissa_bits"]) or described["fault"]:
        return "wrong", why
    return check["outcome"], check["reason"]


def _entry(variant: Variant, twin: bool, verdict: str, reason: str) -> Found:
    nothing = (
        "check", "mantissa_bits", "step_us", "run_ms", "times_notebook", "floor_us", "times_floor", "startup",
        "paid_after_steps", "memory", "kernels_per_step", "accuracy", "provenance",
    )  # fmt: skip
    names = {"framework": variant.framework, "name": variant.name, "twin": twin, "what": variant.what}
    return names | {"verdict": verdict, "reason": reason, "runs": []} | dict.fromkeys(nothing)


def _not_run(variant: Variant, why: str) -> Found:
    return _entry(variant, False, "not run", why)


def _times(case: Case, runs: Seconds, work: Work, ceilings: Ceilings | None, kernels: float | None) -> Found:
    step_us = interval([1e6 * seconds / case.steps / case.seeds for seconds in runs.values()])
    floors = floor_us(work, ceilings, None if kernels is None else kernels / case.seeds) if ceilings else None
    return {
        "step_us": step_us._asdict(),
        "run_ms": interval([1e3 * seconds for seconds in runs.values()])._asdict(),
        "floor_us": floors,
        "times_floor": step_us.median / max(floors.values()) if floors else None,
    }


def _beside_notebook(
    case: Case, entry: Entry, found: Mapping[Entry, Found], runs: Seconds, first: Mapping[Variant, Seconds]
) -> Found:
    """How many times faster than the notebook's loop, and after how many steps starting has paid."""
    notebook = first.get(baseline())
    if notebook is None:
        return {}
    beside = ratio(notebook, runs)
    others = {e.variant: found[e] for e in found if not e.twin}
    starts = [entry_found["startup"] for entry_found in (found[entry], others[baseline()])]
    paid: float | None = None
    if all(start and start["cold"] for start in starts):
        late = [start["cold"]["process_s"] for start in starts]
        a_step = [interval(list(seconds.values())).median / case.steps for seconds in (runs, notebook)]
        # The first run is part of starting: what is asked is when the head start of the notebook is used up.
        ahead, gain = late[0] - late[1] + (a_step[1] - a_step[0]) * case.steps, a_step[1] - a_step[0]
        paid = max(ahead / gain, 0.0) if gain > 0 else None
    return {"times_notebook": beside and beside._asdict(), "paid_after_steps": paid}


def _twins(seconds: Mapping[Entry, Seconds], first: Mapping[Variant, Seconds]) -> list[Found]:
    found = []
    for entry, runs in seconds.items():
        if entry.twin and entry.variant in first:
            told = ratio(first[entry.variant], runs)
            name = {"framework": entry.variant.framework, "name": entry.variant.name}
            found += [name | {"ratio": told._asdict()}] if told else []
    return found


def _pairs(first: Mapping[Variant, Seconds], noise: float, known: bool) -> list[Found]:
    runs = {(variant.framework, variant.name): found for variant, found in first.items()}
    found = []
    for left, right in PAIRS:
        if left in runs and right in runs and (told := ratio(runs[left], runs[right])):
            differs = beyond(told, noise) if known else None
            found.append(
                {"first": " ".join(left), "second": " ".join(right), "ratio": told._asdict(), "differs": differs}
            )
    return found


def write(document: Found, file: Path) -> None:
    """Write the document: all of it, or what was there stays."""
    temporary = file.with_suffix(".new")
    temporary.write_text(json.dumps(document, indent=1, allow_nan=False) + "\n", encoding="utf-8")
    temporary.replace(file)
