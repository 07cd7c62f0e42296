"""A benchmark from request to result: the plan is timed, and told as tables, JSON, plots and a page."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

from rich.console import Console

from benchmarks.caches import is_cached, user_folder
from benchmarks.document import SCHEMA_VERSION, case_entry, write
from benchmarks.machine import condition, drivers, machine, other_machine
from benchmarks.page import page
from benchmarks.plan import Group, Request, groups, rounds_of
from benchmarks.process import VariantFailed
from benchmarks.progress import Teller
from benchmarks.session import Session, run_name
from benchmarks.source import source
from benchmarks.store import Store, alone, writing
from benchmarks.switches import to_clear
from benchmarks.tables import show
from parity.errors import NotCheckable

NOT_CACHED = (
    "not compiled yet: --quick --variant compiled --output FOLDER compiles it, and it is in the cache from then on"
)


def measured(request: Request, folder: Path, command: Sequence[str], out: Console, err: Console) -> bool:
    """Time what the request asks for and write the result into the folder; whether all that was timed was right.

    Raises:
        NotCheckable: bad usage, no judge, or a folder that cannot be written, is in use, or has another benchmark.
    """
    planned = groups(request)
    plots = _plots()
    with alone(folder):
        # More rounds are added to those that are there.
        store = Store(folder, request.document() | {"rounds": None}, partial(_warn, err))
        found = [_left_to_the_cache(group) if request.quick and not request.variants else group for group in planned]
        session = Session(store, rounds_of(request), request.quick, Teller(err, 1.0))
        session.teller = Teller(err, sum(session.weight(group) for group in found))
        now = machine()
        this = _same_machine(store, now)
        _begin(store)
        earlier = _earlier(session, found)
        if any(map(session.pending, found)):
            if names := to_clear():
                _warn(err, f"cleared for the variants, which would be others with it: {', '.join(names)}")
            _same_software(store, this, now)
            _time(session, found)
        document = _document(request, command, session, found, this)
        with writing(folder / "result.json"):
            write(document, folder / "result.json")
        with writing(folder):
            files = plots(document, folder)
        with writing(folder / "README.md"):
            (folder / "README.md").write_text(page(document, files), encoding="utf-8")
        # Last: who reads no more than the first lines, as `head` does, ends the process.
        show(out, document)
    written = f"written to {folder}: result.json, README.md and {len(files)} plots"
    out.print(*filter(None, (earlier, written)), sep="\n", markup=False, soft_wrap=True)
    verdicts = {variant["verdict"] for entry in document["cases"] for variant in entry["variants"]}
    return not session.failures and verdicts <= {"right", "not run"}


def _document(
    request: Request, command: Sequence[str], session: Session, found: Sequence[Group], this: dict[str, Any]
) -> dict[str, Any]:
    """The result, from what is finished."""
    store, code = session.store, session.store.get("source")
    return {
        "schema_version": SCHEMA_VERSION,
        "command": list(command),
        **store.get("begun"),
        "seconds": store.get("seconds"),
        "request": request.document(),
        "rounds": session.rounds,
        "machine": this,
        **({"source": code} if code else {}),
        "condition": {part: store.get(f"condition-{part}") for part in ("before", "after")},
        "cases": [case_entry(group, store, session.rounds, session.failures) for group in found],
    }


def _warn(err: Console, line: str) -> None:
    err.print(f"benchmarks: {line}", markup=False, highlight=False, soft_wrap=True)


def _same_machine(store: Store, now: dict[str, Any]) -> dict[str, Any]:
    """What the machine is, as it was found when the benchmark began.

    Raises:
        NotCheckable: that was another machine, or nobody knows which.
    """
    found: dict[str, Any] | None = store.need("machine")
    if found is None:
        store.put(source(), "source")
        store.put(now, "machine")
        return now
    if other_machine(found, now):
        raise NotCheckable(f"{store.folder} holds a benchmark of another machine: name another folder by --output")
    return found


def _same_software(store: Store, found: dict[str, Any], now: dict[str, Any]) -> None:
    """Nothing, where the machine has the packages and the code that it was found with.

    Raises:
        NotCheckable: it has other packages or other code, and one result would mix both.
    """
    before, after = (
        {"Python": one["python"], **one["versions"], "driver": drivers(one), "this project's code": code}
        for one, code in ((found, store.get("source")), (now, source()))
    )
    changed = [
        f"{name} {before.get(name) or 'unknown'}, now {after.get(name) or 'none'}"
        for name in before | after if before.get(name) != after.get(name)
    ]  # fmt: skip
    if changed:
        raise NotCheckable(
            f"{store.folder} was begun with other software, and one result is not to mix both: {'; '.join(changed)}: "
            "name another folder by --output, or remove this one"
        )


def _begin(store: Store) -> None:
    """Keep when the measuring began. Where it ended without a word, its findings tell that, and how long it took."""
    times = store.times()
    begun = datetime.fromtimestamp(times[0], UTC) if times else datetime.now(UTC)
    store.put_once({"begun_at": begun.isoformat(timespec="seconds")}, "begun")
    if times:
        store.put_once(times[-1] - times[0], "seconds")
    for name in ("condition-before", "condition-after") if times else ("condition-before",):
        if store.get(name) is None:
            store.put(condition(), name)


def _earlier(session: Session, found: Sequence[Group]) -> str:
    """What is to be told of runs that were timed before this call; empty where there are none."""
    store = session.store
    kept = [
        store.get(group.case.name, entry.name, run_name(index)) is not None
        for group in found for entry in group.entries for index in range(session.rounds)
    ]  # fmt: skip
    if not any(kept):
        return ""
    when = f"{store.get('begun')['begun_at'][:16].replace('T', ' ')} UTC"
    if any(map(session.pending, found)):
        told = f"only part of this was timed now: {sum(kept)} of {len(kept)} runs are of a benchmark begun at {when}"
    else:
        told = f"nothing was timed now: this is the result of a benchmark begun at {when}"
    return f"{told}; to measure anew, name another folder by --output, or remove {store.folder}"


def _time(session: Session, found: Sequence[Group]) -> None:
    """Time all groups, and keep how long that took, and how the machine was doing afterwards."""
    store, begun = session.store, time.monotonic()
    session.number = store.need("sessions") or 0
    store.put(session.number + 1, "sessions")
    try:
        with session.teller.showing():
            for group in found:
                session.time(group)
    except VariantFailed as failure:
        raise NotCheckable(f"there is no judge: {failure}") from failure
    finally:
        store.put(time.monotonic() - begun + (store.get("seconds") or 0.0), "seconds")
        store.put(condition(), "condition-after")


def _plots() -> Any:
    """The function that draws, before any work: it needs a package that nothing else does."""
    try:
        from benchmarks.plots import plots
    except ModuleNotFoundError as error:
        raise NotCheckable(f"no module {error.name}: plots need matplotlib, pip install -e '.[bench]'") from error
    return plots


def _left_to_the_cache(group: Group) -> Group:
    """Without what torch.compile would take a minute to compile, unless it is in the cache."""
    out = [
        entry for entry in group.entries
        if entry.variant.compiles and not is_cached(user_folder(), group.case, entry.variant)
    ]  # fmt: skip
    kept = tuple(entry for entry in group.entries if entry not in out)
    return replace(group, entries=kept, left_out=(*group.left_out, *((entry.variant, NOT_CACHED) for entry in out)))
