"""A whole result, made up: what a benchmark of made processes comes to."""

from __future__ import annotations

import copy
import functools
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

import benchmarks.session
from benchmarks.document import SCHEMA_VERSION, case_entry
from benchmarks.plan import Group, Request, groups
from benchmarks.progress import Teller
from benchmarks.session import Session
from benchmarks.store import Store
from parity_tests.benchmarks.made import CONDITION, MACHINE, processes, quiet

ROUNDS = 3
REQUEST = Request(problems=("mnist",), rounds=ROUNDS)


def entries_of(
    made: list[Group], answers: Mapping[tuple[str, str], Any] | None = None, quick: bool = False
) -> list[dict[str, Any]]:
    """What these groups come to."""
    with pytest.MonkeyPatch.context() as patch, tempfile.TemporaryDirectory() as folder:
        patch.setenv("XDG_CACHE_HOME", folder)
        patch.setattr(benchmarks.session, "Process", processes([], answers))
        patch.setattr(benchmarks.session, "beside", quiet)
        one = Session(Store(Path(folder), {}), ROUNDS, quick, Teller(Console(quiet=True), 1.0))
        for group in made:
            one.time(group)
        return [case_entry(group, one.store, ROUNDS, one.failures) for group in made]


def result(answers: Mapping[tuple[str, str], Any] | None = None, request: Request = REQUEST) -> dict[str, Any]:
    """A result as it is written. Of usual answers it is made once for each request, and each caller has a copy."""
    return _made(answers, request) if answers else copy.deepcopy(_usual(request))


@functools.cache
def _usual(request: Request) -> dict[str, Any]:
    return _made(None, request)


def _made(answers: Mapping[tuple[str, str], Any] | None, request: Request) -> dict[str, Any]:
    return {
        "schema_version": SCHEMA_VERSION,
        "command": ["python", "-m", "benchmarks", "--problem", "mnist"],
        "begun_at": "2026-01-02T03:04:05+00:00",
        "seconds": 123.4,
        "request": request.document(),
        "rounds": ROUNDS,
        "machine": MACHINE,
        "condition": {"before": CONDITION, "after": CONDITION},
        "cases": entries_of(groups(request), answers),
    }
