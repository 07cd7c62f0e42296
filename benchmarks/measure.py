"""A benchmark from request to result: the plan is timed, and told as tables, JSON, plots and a page."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rich.console import Console

from benchmarks.caches import is_cached, user_folder
from benchmarks.document import SCHEMA_VERSION, case_entry, write
from benchmarks.machine import IDENTITY, condition, machine
from benchmarks.page import page
from benchmarks.plan import Group, Request, groups, rounds_of
from benchmarks.process import VariantFailed
from benchmarks.progress import Teller
from benchmarks.session import Session
from benchmarks.store import Store
from benchmarks.tables import show
from parity.errors import NotCheckable

NOT_CACHED = "not compiled yet: --variant compiled compiles it, and it is in the cache from then on"


def measured(request: Request, folder: Path, command: Sequence[str], out: Console, err: Console) -> bool:
    """Time what the request asks for and write the result into the folder; whether all that was timed was right.

    Raises:
        NotCheckable: bad usage, a folder of another benchmark, or no judge.
    """
    planned = groups(request)
    plots = _plots()
    # More rounds are added to those that are there.
    store = Store(folder, request.document() | {"rounds": None})
    found = [_left_to_the_cache(group) if request.quick and not request.variants else group for group in planned]
    rounds = rounds_of(request)
    session = Session(store, rounds, request.quick, Teller(err, 1.0))
    session.teller = Teller(err, sum(session.weight(group) for group in found))
    this = _same_machine(store)
    if any(map(session.pending, found)):
        _time(session, found)
    document = {
        "schema_version": SCHEMA_VERSION,
        "command": list(command),
        **store.get("begun"),
        "seconds": store.get("seconds"),
        "request": request.document(),
        "rounds": rounds,
        "machine": this,
        "condition": {part: store.get(f"condition-{part}") for part in ("before", "after")},
        "cases": [case_entry(group, store, rounds, session.failures) for group in found],
    }
    write(document, folder / "result.json")
    show(out, document)
    files = plots(document, folder)
    (folder / "README.md").write_text(page(document, files), encoding="utf-8")
    out.print(f"written to {folder}: result.json, README.md and {len(files)} plots", markup=False, soft_wrap=True)
    verdicts = {variant["verdict"] for entry in document["cases"] for variant in entry["variants"]}
    return not session.failures and verdicts <= {"right", "not run"}


def _same_machine(store: Store) -> dict[str, Any]:
    """What the machine is, as it was found when the benchmark began.

    Raises:
        NotCheckable: that was another machine.
    """
    this = machine()
    store.put_once(this, "machine")
    found: dict[str, Any] = store.get("machine")
    if any(found[entry] != this[entry] for entry in IDENTITY):
        raise NotCheckable(f"{store.folder} holds a benchmark of another machine: name another folder by --output")
    return found


def _time(session: Session, found: Sequence[Group]) -> None:
    """Time all groups, and keep when, how long, and how the machine was doing before and after."""
    store, begun = session.store, time.monotonic()
    session.number = store.get("sessions") or 0
    store.put(session.number + 1, "sessions")
    store.put_once({"begun_at": datetime.now(UTC).isoformat(timespec="seconds")}, "begun")
    store.put_once(condition(), "condition-before")
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
