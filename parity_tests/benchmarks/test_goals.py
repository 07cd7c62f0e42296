"""Each goal is measured where it says, and told as reached, enough, missed or not measured."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from benchmarks.goals import Goal, goals
from benchmarks.plan import Request
from benchmarks.tables import tables
from parity_tests.benchmarks.made_results import result

CPU = result()


def exactly(value: float) -> dict[str, float]:
    """An interval without a width."""
    return dict.fromkeys(("median", "low", "high"), value)


def made(cases: dict[str, dict[str, float]], device: str = "gpu") -> dict[str, Any]:
    """A result of cases by name, in each the step of each variant in microseconds."""
    entries = []
    for name, steps in cases.items():
        variants = []
        for variant, step in steps.items():
            framework, of = variant.split()
            times = exactly(steps["torch notebook"] / step) if "torch notebook" in steps else None
            variants.append(
                {
                    "framework": framework,
                    "name": of,
                    "twin": False,
                    "step_us": exactly(step),
                    "times_notebook": times,
                }
            )
        entries.append({"case": {"name": name}, "variants": variants, "pairs": []})
    return {"request": {"device": device, "quick": False, "variants": []}, "cases": entries}


GPU = made(
    {
        "mnist-float32-gpu": {
            "torch notebook": 7000.0, "torch whole_run_compiled": 140.0, "jax nnx_jit": 2400.0, "jax whole_run": 80.0,
            "jax whole_run_by_hand": 79.0,
        },
        "mnist-tf32-gpu": {"jax whole_run": 66.0, "torch whole_run_compiled": 87.0},
        "mnist-tf32-gpu-s1024": {"jax many_seeds": 9.5},
    }
)  # fmt: skip


def test_the_goals_of_a_cpu_are_ratios_to_the_notebook() -> None:
    found = goals(CPU)
    assert [(round(goal.value or 0), goal.says) for goal in found] == [(20, "enough"), (4, "enough")]
    slow = made({"mnist-float32-cpu": {"torch notebook": 1000.0, "torch stepped": 900.0}}, "cpu")
    assert [goal.says for goal in goals(slow)] == ["not measured", "missed"]


def test_the_goals_of_a_gpu() -> None:
    told = {goal.what.partition(",")[0]: (goal.value, goal.says) for goal in goals(GPU)}
    assert told["best JAX loop"] == (2400 / 79, "enough")
    assert told["best torch loop"] == (50.0, "enough")
    assert told["best step in TF32"] == (66.0, "enough")
    assert told["best step in float32"] == (79.0, "enough")
    assert told["a seed's step"] == (9.5, "missed")
    assert told["NNX and Optax"] == (None, "not measured")
    assert goals(GPU)[0].value == 7000 / 79


@pytest.mark.parametrize(
    ("median", "low", "says"),
    [
        (1.003, 0.99, "reached"),
        (0.97, 0.96, "reached"),
        (1.02, 1.01, "enough"),
        (1.06, 0.99, "missed, not certain"),
        (1.04, 1.02, "enough, not certain"),
    ],
)
def test_what_the_libraries_cost_is_told_round_by_round(median: float, low: float, says: str) -> None:
    found = copy.deepcopy(GPU)
    ratio = {"median": median, "low": low, "high": 2 * median - low}
    found["cases"][0]["pairs"] = [{"first": "jax whole_run", "second": "jax whole_run_by_hand", "ratio": ratio}]
    assert (goals(found)[-1].value, goals(found)[-1].says) == (median, says)


@pytest.mark.parametrize(
    ("value", "at_least", "says"),
    [
        (1.0, True, "missed"),
        (2.0, True, "enough"),
        (3.0, True, "reached"),
        (3.5, False, "missed"),
        (2.5, False, "enough"),
    ],
)
def test_enough_and_aim_are_included(value: float, at_least: bool, says: str) -> None:
    enough, aim = (2.0, 3.0) if at_least else (3.0, 2.0)
    assert Goal("x", value, enough, aim, at_least).says == says


@pytest.mark.parametrize(
    ("low", "high", "at_least", "says"),
    [
        (2.5, 2.9, True, "enough"), (2.4, 2.9, True, "enough, not certain"), (2.4, 2.5, True, "missed, not certain"),
        (2.3, 2.4, True, "missed"), (3.0, 3.2, True, "reached"), (2.9, 3.2, True, "reached, not certain"),
        (2.3, 2.5, False, "enough"), (2.4, 2.6, False, "enough, not certain"), (1.9, 2.4, False, "enough"),
    ],
)  # fmt: skip
def test_what_the_interval_leaves_open_is_not_certain(low: float, high: float, at_least: bool, says: str) -> None:
    found = {"median": (low + high) / 2, "low": low, "high": high}
    goal = Goal("x", found["median"], 2.5, 3.0 if at_least else 2.0, at_least, found)
    assert goal.says == says


def test_a_result_of_something_else_has_no_goals() -> None:
    assert goals(result(request=Request(problems=("mlp",), variants=("jax stepped",), rounds=3))) == []
    assert goals(result(request=Request(problems=("mnist",), steps=7, rounds=3))) == []
    for narrowed in ({"quick": True}, {"variants": ["stepped"]}):
        assert goals(CPU | {"request": CPU["request"] | narrowed}) == []


def test_goals_are_told_as_a_table() -> None:
    (table,) = [table for table in tables(CPU) if table.title == "goals"]
    assert table.rows[0] == [
        "best JAX loop, times the notebook's speed",
        "20.00 [20.00, 20.00]",
        "at least 2.5",
        "-",
        "enough",
    ]
