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
from benchmarks.machine import condition, machine
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
    store = Store(folder, request.document())
    found = [_left_to_the_cache(group) if request.quick and not request.variants else group for group in planned]
    rounds = rounds_of(request)
    session = Session(store, rounds, request.quick, Teller(err, 1.0))
    session.teller = Teller(err, sum(session.weight(group) for group in found))
    begun, before = time.monotonic(), condition()
    store.put_once({"at": datetime.now(UTC).isoformat(timespec="seconds"), "condition": before}, "begun")
    with session.teller.showing():
        for group in found:
            try:
                session.time(group)
            except VariantFailed as failure:
                raise NotCheckable(f"{group.case.name} has no judge: {failure}") from failure
    store.put(time.monotonic() - begun + (store.get("seconds") or 0.0), "seconds")
    document = _document(request, found, session, command)
    write(document, folder / "result.json")
    show(out, document)
    files = plots(document, folder)
    (folder / "README.md").write_text(page(document, files), encoding="utf-8")
    out.print(f"written to {folder}: result.json, README.md and {len(files)} plots", markup=False, soft_wrap=True)
    return all(
        variant["verdict"] == "right" or (variant["verdict"] == "not run" and not _failed(entry, variant, session))
        for entry in document["cases"] for variant in entry["variants"]
    )  # fmt: skip


def _failed(entry: Any, variant: Any, session: Session) -> bool:
    name = f"{variant['framework']}-{variant['name']}" + ("-twin" if variant["twin"] else "")
    return (entry["case"]["name"], name) in session.failures


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


def _document(request: Request, found: Sequence[Group], session: Session, command: Sequence[str]) -> dict[str, Any]:
    store = session.store
    begun = store.get("begun")
    return {
        "schema_version": SCHEMA_VERSION,
        "command": list(command),
        "begun_at": begun["at"],
        "seconds": store.get("seconds"),
        "request": request.document(),
        "rounds": session.rounds,
        "machine": machine(),
        "condition": {"before": begun["condition"], "after": condition()},
        "cases": [case_entry(group, store, session.rounds, session.failures) for group in found],
    }
