"""With what processes start, and which of them side by side."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

import benchmarks.session
from benchmarks.case import Case
from benchmarks.document import case_entry
from benchmarks.plan import Entry, Group
from benchmarks.progress import Teller
from benchmarks.session import Session
from benchmarks.store import Store
from benchmarks.variants import by_full_name
from parity_tests.benchmarks.made import MadeProcess, processes

NAMES = ("torch notebook", "torch stepped", "jax stepped", "jax whole_run")
ENTRIES = (*(Entry(by_full_name(name)) for name in NAMES), Entry(by_full_name("jax whole_run"), twin=True))
GROUP = Group(Case("mlp"), ENTRIES, ())


@pytest.fixture(autouse=True)
def _caches_of_their_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def timed(folder: Path, group: Group, quick: bool = False) -> Session:
    """A session that has timed the group in three rounds."""
    one = Session(Store(folder, {}), 3, quick, Teller(Console(quiet=True), 1.0))
    one.time(group)
    return one


def started_with(folder: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> list[Mapping[str, str]]:
    """The environments that the processes of a variant's session start with."""
    found: list[Mapping[str, str]] = []
    make = processes([])

    def process(case: Case, variant: str, environment: Mapping[str, str], log: Path) -> MadeProcess:
        found.append(environment)
        return make(case, variant, environment, log)

    monkeypatch.setattr(benchmarks.session, "Process", process)
    timed(folder, Group(Case("mlp", device="gpu"), (Entry(by_full_name(name)),), ()))
    return found


@pytest.mark.parametrize(
    ("name", "given", "expected"),
    [
        ("jax whole_run_while_command_buffer", None, "--xla_gpu_enable_command_buffer=+while"),
        ("jax whole_run_no_command_buffer", None, "--xla_gpu_enable_command_buffer="),
        (
            "jax whole_run_while_command_buffer",
            "--xla_dump_to=x",
            "--xla_dump_to=x --xla_gpu_enable_command_buffer=+while",
        ),
        ("jax whole_run", "--xla_dump_to=x", None),
    ],
)
def test_a_process_starts_with_its_variants_variables_behind_what_is_there(
    name: str, given: str | None, expected: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("XLA_FLAGS", raising=False)
    if given:
        monkeypatch.setenv("XLA_FLAGS", given)
    found = started_with(tmp_path, monkeypatch, name)
    # For the ceilings, the judge, a cold start, and to be timed.
    assert [environment.get("XLA_FLAGS") for environment in found] == [expected] * 4


class Starting(MadeProcess):
    """Takes a while to start. Counts how many do so at once, at most, and what they had loaded before."""

    now = most = 0

    def _usual(self, task: str, *arguments: Any) -> Any:
        if task == "start":
            assert self._asked.count((self._name, "load")) > self._asked.count((self._name, "start")) - 1
            type(self).now += 1
            type(self).most = max(self.most, self.now)
            time.sleep(0.02)
            type(self).now -= 1
        return super()._usual(task, *arguments)


@pytest.mark.parametrize(("device", "at_once"), [("cpu", {2, 3, 4, 5}), ("gpu", {1})])
def test_quick_starts_side_by_side_but_on_a_gpu_kernels_are_tried_out_by_one_alone(
    device: str, at_once: set[int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Beside others, a compiler takes the wrong kernel for the fastest, and keeps it."""
    asked: list[tuple[str, str]] = []
    monkeypatch.setattr(Starting, "most", 0)
    monkeypatch.setattr("os.cpu_count", lambda: 8)
    monkeypatch.setattr(benchmarks.session, "Process", lambda case, name, _, __: Starting(asked, {}, case, name))
    timed(tmp_path, Group(Case("mlp", device=device), ENTRIES, ()), quick=True)
    assert Starting.most in at_once
    assert asked.count(("jax stepped", "load")) == asked.count(("jax stepped", "start")) == 1


class WithCaches(MadeProcess):
    """Compiles as a framework does: what is not in its cache is written there. Tells as data_s how much there was."""

    def __init__(self, environment: Mapping[str, str], *given: Any) -> None:
        super().__init__([], {}, *given)
        self._folder = Path(environment["JAX_COMPILATION_CACHE_DIR"])

    def _usual(self, task: str, *arguments: Any) -> Any:
        found = super()._usual(task, *arguments)
        if task != "start":
            return found
        self._folder.mkdir(parents=True, exist_ok=True)
        there = len(list(self._folder.iterdir()))
        (self._folder / "program").touch()
        return found | {"data_s": float(there)}


def test_a_cold_start_finds_nothing_in_the_cache_and_a_warm_one_what_it_has_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        benchmarks.session, "Process", lambda case, name, environment, log: WithCaches(environment, case, name)
    )
    # As a benchmark leaves it that is stopped while it starts cold.
    left = tmp_path / "caches" / "mlp-float32-cpu" / "jax-whole_run" / "jax" / "of an earlier process"
    left.parent.mkdir(parents=True)
    left.touch()
    one = timed(tmp_path, GROUP)
    variants = case_entry(GROUP, one.store, 3, {})["variants"]
    starts = [variant["startup"] for variant in variants]
    assert [start["cold"] and start["cold"]["data_s"] for start in starts] == [0.0] * len(NAMES) + [None]
    # The twin finds what its variant has left.
    assert [start["warm"]["data_s"] for start in starts] == [1.0] * len(ENTRIES)
