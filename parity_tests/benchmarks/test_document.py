"""The document: as its schema says, every timing in it, and no time where a variant is not right."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator  # type: ignore[import-untyped]
from rich.console import Console

import benchmarks.session
from benchmarks.document import SCHEMA, SCHEMA_VERSION, case_entry, write
from benchmarks.plan import Request, groups
from benchmarks.progress import Teller
from benchmarks.session import Session
from benchmarks.store import Store
from parity_tests.benchmarks.made import CEILINGS, DESCRIBED, FAILED, RIGHT, processes
from parity_tests.benchmarks.made_results import ROUNDS, entries_of, result

VALIDATOR = Draft202012Validator(json.loads(SCHEMA.read_text(encoding="utf-8")))
WRONG = RIGHT | {"outcome": "wrong", "reason": "float64, step 1, loss: 2.0e-03 from the judge, limit 1.0e-12"}


def variant(entry: dict[str, Any], name: str, twin: bool = False) -> dict[str, Any]:
    found: dict[str, Any] = next(
        one for one in entry["variants"] if f"{one['framework']} {one['name']}" == name and one["twin"] is twin
    )
    return found


def quick(answers: dict[tuple[str, str], Any] | None = None) -> dict[str, Any]:
    return entries_of(groups(Request(quick=True)), answers, quick=True)[0]


def test_the_schema_is_a_schema_of_this_version() -> None:
    Draft202012Validator.check_schema(VALIDATOR.schema)
    assert VALIDATOR.schema["properties"]["schema_version"]["const"] == SCHEMA_VERSION


@pytest.mark.parametrize(
    "answers",
    [{}, {("jax stepped", "check"): WRONG}, {("jax stepped", "start"): FAILED, ("torch notebook", "run"): FAILED}],
    ids=["all right", "one wrong", "two failed"],
)
def test_a_result_is_as_the_schema_says(answers: dict[tuple[str, str], Any], tmp_path: Path) -> None:
    write(result(answers), tmp_path / "result.json")
    found = json.loads((tmp_path / "result.json").read_text(), parse_constant=pytest.fail)
    VALIDATOR.validate(found)
    assert [file.name for file in tmp_path.iterdir()] == ["result.json"]


@pytest.mark.parametrize("place", ["schema_version", "cases", "machine"])
def test_the_schema_notices_what_is_missing_and_what_is_too_much(place: str) -> None:
    made = result()
    assert VALIDATOR.is_valid(made)
    assert not VALIDATOR.is_valid({name: value for name, value in made.items() if name != place})
    made["cases"][0]["variants"][0]["speed"] = "great"
    assert not VALIDATOR.is_valid(made)


def test_every_timing_is_there_and_figures_come_from_them() -> None:
    entry = quick()
    found = variant(entry, "torch stepped")
    seconds = [run["seconds"] for run in found["runs"]]
    assert [run["round"] for run in found["runs"]] == list(range(ROUNDS))
    assert found["step_us"]["median"] == pytest.approx(sorted(seconds)[1] / 100 * 1e6)
    assert found["run_ms"]["median"] == pytest.approx(sorted(seconds)[1] * 1e3)
    assert found["times_notebook"]["median"] == pytest.approx(2.0, rel=0.05)
    # The faster product of the two, and the faster copy.
    assert found["floor_us"] == pytest.approx({"arithmetic": 379.6e6 / 2e15 * 1e6, "memory": 5_294_640 / 1e12 * 1e6})
    assert found["times_floor"] == pytest.approx(found["step_us"]["median"] / 5.29464)


def test_pairs_and_twins_are_told_with_the_noise() -> None:
    entry = quick()
    assert [(twin["framework"], twin["name"]) for twin in entry["twins"]] == [
        ("torch", "stepped"),
        ("jax", "whole_run"),
    ]
    assert {twin["ratio"]["median"] for twin in entry["twins"]} == {1.0}
    assert entry["noise"] == 1.0
    stepped = next(pair for pair in entry["pairs"] if pair["first"] == "torch stepped")
    assert stepped["second"] == "jax stepped"
    assert stepped["ratio"]["median"] == pytest.approx(2.0)
    assert stepped["differs"] is True
    # Without a twin nobody knows what is noise.
    alone = entries_of(groups(Request(quick=True, variants=("stepped",))))[0]
    assert [pair["differs"] for pair in alone["pairs"]] == [True]
    none = entries_of(groups(Request(quick=True, variants=("stepped",))), {("torch stepped", "check"): WRONG})[0]
    assert (none["twins"], none["noise"], none["pairs"]) == ([], None, [])


def test_rounds_of_two_sessions_are_no_pairs() -> None:
    """What is timed later, alone, is not set beside what was timed before."""
    (group,) = groups(Request(quick=True, variants=("notebook", "stepped")))
    with pytest.MonkeyPatch.context() as patch, tempfile.TemporaryDirectory() as folder:
        patch.setenv("XDG_CACHE_HOME", folder)
        patch.setattr(benchmarks.session, "Process", processes([], {("jax stepped", "run"): FAILED}))
        store = Store(Path(folder), {})
        Session(store, ROUNDS, True, Teller(Console(quiet=True), 1.0)).time(group)
        patch.setattr(benchmarks.session, "Process", processes([]))
        later = Session(store, ROUNDS, True, Teller(Console(quiet=True), 1.0), number=1)
        later.time(group)
        entry = case_entry(group, store, ROUNDS, {})
    found = variant(entry, "jax stepped")
    assert [run["session"] for run in found["runs"]] == [1] * ROUNDS
    assert found["step_us"] is not None
    assert (found["times_notebook"], entry["pairs"]) == (None, [])
    assert [run["session"] for run in variant(entry, "torch stepped")["runs"]] == [0] * ROUNDS
    assert variant(entry, "torch stepped")["times_notebook"] is not None


SPOILED = {
    "wrong": ({("jax stepped", "check"): WRONG}, WRONG["reason"]),
    "no power": (
        {("jax stepped", "check"): RIGHT | {"outcome": "inconclusive", "reason": "TF32 would be only 1.2 limits away"}},
        "TF32 would be only 1.2 limits away",
    ),
    "clock": (
        {("jax stepped", "run"): {"seconds": 1e-3, "settled": False}},
        "the clock stopped before there was a result and all of it was done",
    ),
    "impossible": (
        {("jax stepped", "run"): {"seconds": 2e-4, "settled": True}},
        "a run took 2.0e-04 s, and its arithmetic and memory traffic take 5.3e-04 s here: something was kept, or left "
        "to be done behind the clock, or other work slowed what the machine was measured to do",
    ),
    "precision": (
        {("jax stepped", "describe"): DESCRIBED | {"mantissa_bits": 10}},
        "float32 was asked for on the cpu, and products keep 10 mantissa bits",
    ),
    "fault": (
        {("jax stepped", "describe"): DESCRIBED | {"fault": "the timed run took 99 steps, expected 100"}},
        "the timed run took 99 steps, expected 100",
    ),
    "failed": ({("jax stepped", "start"): FAILED}, str(FAILED)),
}


@pytest.mark.parametrize(("answers", "reason"), SPOILED.values(), ids=SPOILED)
def test_what_is_not_right_has_no_time(answers: dict[tuple[str, str], Any], reason: str) -> None:
    entry = quick(answers)
    found = variant(entry, "jax stepped")
    assert found["verdict"] != "right"
    assert found["reason"] == reason
    assert found["runs"] == []
    timed = ("step_us", "run_ms", "times_notebook", "times_floor", "startup", "paid_after_steps")
    assert [found[name] for name in timed] == [None] * len(timed)
    assert not any("jax stepped" in (pair["first"], pair["second"]) for pair in entry["pairs"])
    assert variant(entry, "torch stepped")["verdict"] == "right"


def test_the_ceilings_of_one_framework_alone_make_no_time_impossible() -> None:
    answers = {("jax stepped", "run"): {"seconds": 2e-4, "settled": True}, ("torch notebook", "ceilings"): FAILED}
    assert variant(quick(answers), "jax stepped")["verdict"] == "right"


@pytest.mark.parametrize(
    "late_s", [2.0, 0.0, -1.0], ids=["later", "together", "so much earlier that nothing is to pay"]
)
def test_a_start_has_paid_after_the_steps_that_make_up_for_it(late_s: float) -> None:
    (group,) = groups(Request(problems=("mnist",), variants=("torch notebook", "torch fused")))
    with pytest.MonkeyPatch.context() as patch, tempfile.TemporaryDirectory() as folder:
        patch.setenv("XDG_CACHE_HOME", folder)
        patch.setattr(benchmarks.session, "Process", processes([]))
        store = Store(Path(folder), {})
        Session(store, ROUNDS, False, Teller(Console(quiet=True), 1.0)).time(group)
        for name, process_s in (("torch-notebook", 5.0), ("torch-fused", 5.0 + late_s)):
            cold = {"import_s": 1.0, "data_s": 0.5, "first_run_s": 2.0, "process_s": process_s}
            store.put(cold, group.case.name, name, "cold")
        entry = case_entry(group, store, ROUNDS, {})
    notebook, fused = (variant(entry, name) for name in ("torch notebook", "torch fused"))
    gain_s = (notebook["run_ms"]["median"] - fused["run_ms"]["median"]) / 1e5
    # The 100 steps of the first run are part of starting.
    expected = 0 if late_s < 0 else late_s / gain_s + 100
    assert fused["paid_after_steps"] == pytest.approx(expected, rel=1e-6)
    assert notebook["paid_after_steps"] is None


def test_a_seeds_step_is_a_share_of_the_step_of_all() -> None:
    (entry,) = entries_of(groups(Request(problems=("mnist",), seeds=(8,), variants=("jax many_seeds",))))
    found = variant(entry, "jax many_seeds")
    assert found["step_us"]["median"] == pytest.approx(found["run_ms"]["median"] * 1e3 / 100 / 8)
    assert found["times_notebook"] is None


@pytest.mark.parametrize(("seeds", "name"), [(1, "jax stepped"), (8, "jax many_seeds")])
def test_launches_are_in_the_floor_and_shared_by_the_seeds(seeds: int, name: str) -> None:
    answers = {
        (name, "ceilings"): CEILINGS["jax"] | {"launch_s": 2e-6, "graph_s": 5e-6},
        (name, "describe"): DESCRIBED | {"kernels_per_step": 24.0},
    }
    (entry,) = entries_of(groups(Request(problems=("mnist",), seeds=(seeds,), variants=(name,))), answers)
    found = variant(entry, name)
    assert found["floor_us"]["launches"] == pytest.approx(48 / seeds)
    assert found["times_floor"] == pytest.approx(found["step_us"]["median"] / max(found["floor_us"].values()))


def test_a_start_that_takes_less_than_the_notebooks_has_paid_at_once() -> None:
    """Not before: steps below 0 there are none."""
    (group,) = groups(Request(problems=("mnist",), seeds=(1,), variants=("torch notebook", "torch fused")))
    with pytest.MonkeyPatch.context() as patch, tempfile.TemporaryDirectory() as folder:
        patch.setattr(benchmarks.session, "Process", processes([]))
        store = Store(Path(folder), {})
        Session(store, ROUNDS, False, Teller(Console(quiet=True), 1.0)).time(group)
        for name, seconds in (("torch-notebook", 9.0), ("torch-fused", 2.0)):
            cold = store.get(group.case.name, name, "cold")
            store.put(cold | {"process_s": seconds}, group.case.name, name, "cold")
        entry = case_entry(group, store, ROUNDS, {})
    assert variant(entry, "torch fused")["paid_after_steps"] == 0
