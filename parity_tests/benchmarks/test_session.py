"""What is asked of which process in which order, what is kept, and what a second call still does."""

from __future__ import annotations

import functools
import itertools
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

import benchmarks.session
from benchmarks.case import Case
from benchmarks.document import case_entry
from benchmarks.plan import CROWD, WARM_UPS, Entry, Group
from benchmarks.process import VariantFailed
from benchmarks.progress import Teller
from benchmarks.session import Session, in_order
from benchmarks.store import Store
from benchmarks.variants import VARIANTS, by_full_name
from parity_tests.benchmarks.made import DESCRIBED, FAILED, RIGHT, processes, quiet

NAMES = ("torch notebook", "torch stepped", "jax stepped", "jax whole_run")
ENTRIES = (*(Entry(by_full_name(name)) for name in NAMES), Entry(by_full_name("jax whole_run"), twin=True))
GROUP = Group(Case("mlp"), ENTRIES, ())
Asked = list[tuple[str, str]]


@pytest.fixture(autouse=True)
def _caches_of_their_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def session(folder: Path, rounds: int = 3, quick: bool = False) -> Session:
    made = Session(Store(folder, {}), rounds, quick, Teller(Console(quiet=True), 1.0))
    made.teller = Teller(Console(quiet=True), made.weight(GROUP))
    return made


def timed(
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    answers: dict[tuple[str, str], Any] | None = None,
    group: Group = GROUP,
    **others: Any,
) -> tuple[Session, Asked]:
    """A session that has timed the group, and what its processes were asked."""
    asked: Asked = []
    monkeypatch.setattr(benchmarks.session, "Process", processes(asked, answers))
    one = session(folder, **others)
    one.time(group)
    return one, asked


def runs_of(asked: Asked, name: str) -> int:
    return asked.count((name, "run"))


def test_every_entry_is_started_warmed_up_and_timed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one, asked = timed(tmp_path, monkeypatch)
    assert not one.failures
    for name in NAMES:
        entries = 2 if name == "jax whole_run" else 1
        # The start of a process is the first of its runs before those that count.
        assert runs_of(asked, name) == entries * (WARM_UPS - 1 + 3)
        assert asked.count((name, "check")) == asked.count((name, "describe")) == entries
    assert asked.count(("torch notebook", "make_judge")) == 1
    # For the ceilings, the judge, a cold start, and to be timed.
    assert asked.count(("torch notebook", "begins")) == asked.count(("torch notebook", "ends")) == 4
    assert sum(task == "ceilings" for _, task in asked) == 2


def test_ceilings_have_a_process_of_their_own_and_may_fail(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one, asked = timed(tmp_path / "one", monkeypatch, {("torch notebook", "ceilings"): FAILED})
    at = asked.index(("torch notebook", "ceilings"))
    assert asked[at - 1 : at + 2] == [("torch notebook", task) for task in ("begins", "ceilings", "ends")]
    assert not one.failures
    found = case_entry(GROUP, one.store, 3, {})
    assert {variant["verdict"] for variant in found["variants"]} == {"right"}
    assert found["ceilings"]["call_s"].keys() == {"jax"}
    both = {(name, "ceilings"): FAILED for name in NAMES}
    one, _ = timed(tmp_path / "both", monkeypatch, both)
    assert case_entry(GROUP, one.store, 3, {})["ceilings"] is None


def test_no_cold_start_in_a_sweep_and_one_judge_for_all_precisions(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    entries = tuple(Entry(by_full_name(name)) for name in ("torch stepped", "jax stepped"))
    first, second = (Group(Case("mnist", p, "gpu", width=50), entries, ()) for p in ("float32", "tf32"))
    one, asked = timed(tmp_path, monkeypatch, group=first)
    assert asked.count(("torch stepped", "start")) == 1
    assert case_entry(first, one.store, 3, {})["variants"][0]["startup"] == {"cold": None, "warm": None}
    assert asked.count(("torch stepped", "make_judge")) == 1
    _, asked = timed(tmp_path, monkeypatch, group=second)
    assert ("torch stepped", "make_judge") not in asked


def test_a_crowd_of_seeds_is_checked_one_after_the_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    names = ("torch many_seeds", "jax many_seeds")
    entries = tuple(Entry(by_full_name(name)) for name in names)
    _, asked = timed(tmp_path, monkeypatch, group=Group(Case("mnist", seeds=CROWD), entries, ()))
    assert asked[-6:] == [(name, task) for name in names for task in ("describe", "check", "ends")]


def test_a_cold_start_is_taken_once_with_empty_caches_and_none_if_quick(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, asked = timed(tmp_path / "full", monkeypatch)
    # A process for the judge, one cold, one warm; the twin of whole_run needs no cold one.
    assert asked.count(("jax stepped", "start")) == 2
    assert asked.count(("jax whole_run", "start")) == 3
    found = case_entry(GROUP, one.store, 3, {})["variants"][0]["startup"]
    assert found["cold"]["first_run_s"] == found["warm"]["first_run_s"] == 2.0
    assert found["cold"]["process_s"] >= 0
    one, asked = timed(tmp_path / "quick", monkeypatch, quick=True)
    assert asked.count(("jax stepped", "start")) == 1
    assert case_entry(GROUP, one.store, 3, {})["variants"][0]["startup"] == {"cold": None, "warm": None}


@pytest.mark.parametrize("quick", [False, True])
def test_the_parts_add_up_to_what_the_time_left_is_told_from(
    quick: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, _ = timed(tmp_path, monkeypatch, quick=quick)
    assert one.teller._done == pytest.approx(one.weight(GROUP))
    assert one.teller.left() == "about 0 s left"


def test_a_crowd_of_seeds_takes_long_to_place_and_to_check(tmp_path: Path) -> None:
    """On a GPU its runs do not."""
    entries = tuple(Entry(by_full_name(name)) for name in ("torch many_seeds_padded", "jax many_seeds"))
    few, crowd = (Group(Case("mnist", device="gpu", seeds=seeds), entries, ()) for seeds in (4, 1024))
    one = session(tmp_path, quick=True)
    assert one.weight(crowd) > one.weight(few) + 60 * len(entries)


def test_a_stopped_benchmark_goes_on_where_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(KeyboardInterrupt):
        timed(tmp_path, monkeypatch, {("jax stepped", "check"): KeyboardInterrupt()})
    one, asked = timed(tmp_path, monkeypatch)
    kept = [name for name in NAMES if (name, "begins") not in asked]
    # Those before it were waited for; what stands behind it may have been done beside it, on another core.
    assert kept[:2] == ["torch notebook", "torch stepped"]
    assert "jax stepped" not in kept
    assert runs_of(asked, "jax stepped") == WARM_UPS - 1
    assert (NAMES[0], "make_judge") not in asked
    again, asked = timed(tmp_path, monkeypatch)
    assert asked == []
    assert case_entry(GROUP, again.store, 3, {}) == case_entry(GROUP, one.store, 3, {})


@pytest.mark.parametrize("task", ["ceilings", "start", "run", "check"])
def test_whoever_interrupts_leaves_no_process_behind(
    task: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: Asked = []
    monkeypatch.setattr(benchmarks.session, "Process", processes(asked, {("jax stepped", task): KeyboardInterrupt()}))
    with pytest.raises(KeyboardInterrupt):
        session(tmp_path).time(GROUP)
    for name in NAMES:
        assert asked.count((name, "begins")) == asked.count((name, "ends"))
    assert ("jax stepped", "killed") in asked
    # What it is at may take it long, and who ends it without that waits for it.
    at, killed = (asked.index(("jax stepped", what)) for what in (task, "killed"))
    assert ("jax stepped", "ends") not in asked[at:killed]


def test_more_rounds_are_added_to_those_that_are_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    timed(tmp_path, monkeypatch, rounds=3)
    _, asked = timed(tmp_path, monkeypatch, rounds=5)
    assert runs_of(asked, "torch stepped") == WARM_UPS - 1 + 2


@pytest.mark.parametrize(
    ("part", "found"),
    [("check", RIGHT | {"outcome": "wrong", "reason": "step 1"}), ("describe", DESCRIBED | {"fault": "step 1"})],
    ids=["check", "describe"],
)
def test_what_was_found_wrong_stays_so_when_rounds_are_added(
    part: str, found: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    timed(tmp_path, monkeypatch, {("jax stepped", part): found})
    one, _ = timed(tmp_path, monkeypatch, rounds=5)
    variants = case_entry(GROUP, one.store, 5, {})["variants"]
    assert [variant["verdict"] for variant in variants] == ["right", "right", "wrong", "right", "right"]
    assert variants[2]["reason"] == "step 1"


def test_the_most_that_other_work_took_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for rounds, others, kept in ((3, None, None), (4, 0.4, 0.4), (5, 0.2, 0.4), (6, None, 0.4)):
        monkeypatch.setattr(benchmarks.session, "beside", functools.partial(quiet, others))
        one, _ = timed(tmp_path, monkeypatch, rounds=rounds)
        assert case_entry(GROUP, one.store, rounds, {})["others"] == kept


def test_a_process_that_begins_while_somebody_interrupts_is_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: Asked = []
    monkeypatch.setattr(benchmarks.session, "Process", processes(asked))
    one = session(tmp_path)
    one._kill()
    one._process(GROUP, ENTRIES[0], "log")
    assert asked == [("torch notebook", "begins"), ("torch notebook", "killed")]


@pytest.mark.parametrize("task", ["start", "run", "describe", "check"])
def test_a_variant_that_fails_is_left_out_and_the_others_go_on(
    task: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, asked = timed(tmp_path, monkeypatch, {("torch stepped", task): FAILED})
    # Not started once more where the cold start failed; and whatever failed gives its memory back at once.
    assert asked.count(("torch stepped", "start")) == (1 if task == "start" else 2)
    last = max(place for place, item in enumerate(asked) if item == ("torch stepped", task))
    assert task in ("describe", "check") or asked[last + 1] == ("torch stepped", "ends")
    assert one.failures == {("mlp-float32-cpu", "torch-stepped"): str(FAILED)}
    found = case_entry(GROUP, one.store, 3, one.failures)["variants"]
    assert [variant["verdict"] for variant in found] == ["right", "failed", "right", "right", "right"]
    assert found[1]["reason"] == str(FAILED)
    assert found[1]["step_us"] is None
    # It is tried again by the next call.
    again, asked = timed(tmp_path, monkeypatch)
    assert ("torch stepped", "start") in asked
    assert not again.failures


def test_without_a_judge_nothing_is_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(VariantFailed):
        timed(tmp_path, monkeypatch, {("torch notebook", "make_judge"): FAILED})


def test_partners_and_twins_stand_together_and_the_order_changes_from_round_to_round() -> None:
    entries = [*ENTRIES, Entry(by_full_name("torch fused")), Entry(by_full_name("jax jit_state"))]
    orders = [in_order(entries, index) for index in range(20)]
    for order in orders:
        assert sorted(entry.name for entry in order) == sorted(entry.name for entry in entries)
        places = {entry.name: place for place, entry in enumerate(order)}
        assert abs(places["jax-whole_run"] - places["jax-whole_run-twin"]) == 1
        assert abs(places["torch-stepped"] - places["jax-stepped"]) == 1
    assert len({tuple(entry.name for entry in order) for order in orders}) > 10
    firsts = {order[0].name for order in orders}
    assert len(firsts) > 3
    assert in_order(entries, 3) == orders[3]


def test_no_two_variants_have_one_name() -> None:
    names = [variant.full_name for variant in VARIANTS]
    assert all(one != other for one, other in itertools.combinations(names, 2))
