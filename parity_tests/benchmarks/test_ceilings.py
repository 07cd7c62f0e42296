"""What the machine can do is the best of all that was measured, and measured again where a run was faster than that."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

import benchmarks.session
from benchmarks.case import Case
from benchmarks.ceilings import best, ceilings_of, least_s, place
from benchmarks.document import case_entry
from benchmarks.plan import Entry, Group
from benchmarks.progress import Teller
from benchmarks.session import Session
from benchmarks.store import Store
from benchmarks.variants import by_full_name
from parity_tests.benchmarks.made import CEILINGS, FAILED, processes

NAMES = ("torch stepped", "jax stepped")
GROUP = Group(Case("mnist"), tuple(Entry(by_full_name(name)) for name in NAMES), ())
# A run of `jax stepped` is made to take 25 ms: at these speeds, its memory traffic alone takes five times as long.
SLOWED = {name: CEILINGS[name.split()[0]] | {"bytes_s": 4e9} for name in NAMES}
Asked = list[tuple[str, str]]


def timed(
    folder: Path, monkeypatch: pytest.MonkeyPatch, answers: dict[tuple[str, str], Any]
) -> tuple[dict[str, Any], Asked]:
    """What is found of `jax stepped`, and what was asked of processes."""
    asked: Asked = []
    monkeypatch.setenv("XDG_CACHE_HOME", str(folder / "cache"))
    monkeypatch.setattr(benchmarks.session, "Process", processes(asked, answers))
    one = Session(Store(folder, {}), 3, True, Teller(Console(quiet=True), 1.0))
    one.time(GROUP)
    return case_entry(GROUP, one.store, 3, one.failures)["variants"][1], asked


def test_the_best_of_two_measurements_is_kept() -> None:
    one = {"flop_s": 1.0, "bytes_s": 9.0, "call_s": 5.0, "launch_s": None, "graph_s": 2.0}
    other = {"flop_s": 2.0, "bytes_s": 8.0, "call_s": 4.0, "launch_s": 3.0, "graph_s": None}
    expected = {"flop_s": 2.0, "bytes_s": 9.0, "call_s": 4.0, "launch_s": 3.0, "graph_s": 2.0}
    assert best(one, other) == best(other, one) == expected
    assert best(one, None) == one


def test_ceilings_measured_beside_other_work_call_nothing_wrong(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers: dict[tuple[str, str], Any] = {(name, "ceilings"): [SLOWED[name]] for name in NAMES}
    found, asked = timed(tmp_path, monkeypatch, answers)
    assert (found["verdict"], found["reason"]) == ("right", "")
    assert [task for _, task in asked].count("ceilings") == 4
    assert found["times_floor"] > 1


def test_they_are_not_measured_again_where_nothing_was_faster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found, asked = timed(tmp_path, monkeypatch, {})
    assert found["verdict"] == "right"
    assert [task for _, task in asked].count("ceilings") == 2


@pytest.mark.parametrize("slowed", [True, False], ids=["slowed to the end", "measured well"])
def test_a_result_that_was_kept_stays_wrong(slowed: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And what is measured worse the second time takes nothing back."""
    answers: dict[tuple[str, str], Any] = {("jax stepped", "run"): {"seconds": 1e-9, "settled": True}}
    answers |= {
        (name, "ceilings"): [SLOWED[name] if slowed else CEILINGS[name.split()[0]], SLOWED[name]] for name in NAMES
    }
    found, _ = timed(tmp_path, monkeypatch, answers)
    assert found["verdict"] == "wrong"
    for told in ("something was kept", "left to be done behind the clock", "other work slowed"):
        assert told in found["reason"]
    assert ("1.3e-01 s here" in found["reason"]) is slowed


def test_a_second_measurement_that_fails_leaves_the_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    answers: dict[tuple[str, str], Any] = {(name, "ceilings"): [SLOWED[name], FAILED] for name in NAMES}
    found, _ = timed(tmp_path, monkeypatch, answers)
    assert found["verdict"] == "wrong"


def test_the_least_time_is_of_both_frameworks_ceilings(tmp_path: Path) -> None:
    store, case = Store(tmp_path, {}), Case("mnist")
    assert (ceilings_of(case, store), least_s(case, store)) == (None, 0.0)
    store.put(CEILINGS["torch"], *place(case, "torch"))
    assert ceilings_of(case, store) is not None
    assert least_s(case, store) == 0.0
    store.put(CEILINGS["jax"], *place(case, "jax"))
    assert least_s(case, store) == pytest.approx(100 * 5_294_640 / 1e12)
