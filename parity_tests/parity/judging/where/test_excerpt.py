"""What a verdict keeps of the recordings: up to the first difference, the nearest first, no more than there is room."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import pytest

from parity.judging.check import check
from parity.judging.findings import Findings
from parity.judging.passes.judge import Lockstep
from parity.judging.where.excerpt import ROOM, excerpt, kept
from parity.recording import FRAMEWORKS, Arrays, Key, Recording
from parity.verdict import Excerpt, Verdict
from parity_tests.parity import small_jax, tiny_jax
from parity_tests.parity.judging.test_check_modules import pair
from parity_tests.parity.made_recordings import recording
from parity_tests.parity.made_verdicts import float64
from parity_tests.parity.tiny import Run, loops, planted, tiny
from parity_tests.parity.tiny_draws import draw_parameters

ONE = {"weight": np.zeros(10)}
"""80 bytes."""
GROUPS = [("init", 0), ("forward", 0), ("update", 0), ("forward", 1), ("update", 1), ("trajectory", 0), ("score", 0)]


@cache
def sides() -> dict[str, Recording]:
    made = recording(*((stage, step, ONE) for stage, step in GROUPS))
    return {f"{side} float64": made for side in FRAMEWORKS}


def groups_of(found: Excerpt) -> set[tuple[str, int]]:
    torch, jax = (set(found.recordings[f"{side} float64"].groups) for side in FRAMEWORKS)
    assert torch == jax
    return torch


def test_nothing_behind_the_first_difference_is_kept() -> None:
    found = excerpt(sides(), Key("forward", 1, "weight"))
    assert (groups_of(found), found.left_out) == (set(GROUPS[:4]), 0)
    assert found.recordings["jax float64"].provenance == sides()["jax float64"].provenance


@pytest.mark.parametrize(
    ("room", "groups"),
    [
        (159, set()),
        (160, {("update", 1)}),
        (320, {("update", 1), ("init", 0)}),
        (480, {("update", 1), ("init", 0), ("forward", 1)}),
        (640, {("update", 1), ("init", 0), ("forward", 1), ("update", 0)}),
    ],
)
def test_where_there_is_no_room_for_all_the_nearest_are_kept(
    monkeypatch: pytest.MonkeyPatch, room: int, groups: set[tuple[str, int]]
) -> None:
    monkeypatch.setattr("parity.judging.where.excerpt.ROOM", room)
    found = excerpt(sides(), Key("update", 1, "weight"))
    assert (groups_of(found), found.left_out) == (groups, 2 * (5 - len(groups)))


def test_a_tensor_that_is_too_large_leaves_its_room_to_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("parity.judging.where.excerpt.ROOM", 200)
    made = {"torch float64": recording(("init", 0, {"large": np.zeros(1000)} | ONE), ("forward", 0, ONE))}
    found = excerpt(made, Key("forward", 0, "weight"))
    assert found.left_out == 1
    assert found.recordings["torch float64"].of("init", 0).keys() == ONE.keys()


def test_there_is_a_bound_on_what_a_verdict_holds() -> None:
    assert ROOM <= 50_000_000


# Of a check


def twice(seed: int) -> Arrays:
    return {name: 2 * array for name, array in draw_parameters(seed).items()}


def held(verdict: Verdict) -> Excerpt:
    assert verdict.excerpt is not None
    return verdict.excerpt


def test_a_verdict_holds_both_sides_where_they_differ_and_nothing_where_they_agree() -> None:
    assert check(tiny(1), dtypes=("float64",)).excerpt is None
    found = held(check(planted("jax", 1, parameters=twice), dtypes=("float64",)))
    assert list(found.recordings) == ["torch float64", "jax float64"]
    torch, jax = (found.recordings[f"{side} float64"].of("init", 0)["outer.bias"] for side in FRAMEWORKS)
    np.testing.assert_array_equal(2 * torch, jax)


def test_a_difference_in_float32_comes_with_the_judge() -> None:
    def predict(model: Any, batch: Any) -> Any:
        output = tiny_jax.predict(model, batch)
        return output * 1.5 if output.dtype == "float32" else output

    found = held(check(planted("jax", 1, predict=predict)))
    assert list(found.recordings) == ["torch float32", "jax float32", "torch float64"]


def test_a_difference_in_a_loop_comes_with_the_loops_run() -> None:
    def late(right: Callable[..., Run]) -> Callable[..., Run]:
        return lambda **asked: right(**asked | {"seed": asked["seed"] + 1})

    parts = loops("jax", {"whole_run": late})
    found = held(check(planted("jax", 1, **parts), loops=("whole_run",), dtypes=("float64",)))
    assert list(found.recordings) == ["torch float64", "jax float64", "jax whole_run float64"]
    assert found.recordings["jax whole_run float64"].of("trajectory", 0)


def test_a_difference_in_lockstep_comes_with_the_run_that_was_made_for_it() -> None:
    torch, jax, stepped = (recording(("trajectory", 1, {"weight": np.full(2, value)})) for value in (0.0, 1.0, 2.0))
    wrong = float64("trajectory", "weight", step=1, difference=1.0)
    findings = Findings(
        tiny(), 0, "cpu", {}, recordings={"float64": {"torch": torch, "jax": jax}},
        lockstep=Lockstep([wrong], frozenset([wrong.key]), stepped),
    )  # fmt: skip
    found = kept(findings, wrong)
    assert list(found.recordings) == ["torch float64", "jax float64", "jax float64 lockstep"]
    assert found.recordings["jax float64 lockstep"].of("trajectory", 1)["weight"][0] == 2
    other = replace(wrong, key=wrong.key._replace(tensor="bias"))
    assert list(kept(findings, other).recordings) == ["torch float64", "jax float64"]


def test_a_difference_between_two_modules_comes_with_their_weight_map() -> None:
    def doubled(model: Any, batch: Any) -> Any:
        return 2 * small_jax.loss(model, batch)

    weights = held(check(pair(jax={"loss": doubled}), dtypes=("float64",))).weight_map
    assert weights is not None
    assert {entry.torch.name for entry in weights.entries} >= {"inner.weight", "norm.running_mean"}
    assert held(check(planted("jax", 1, parameters=twice), dtypes=("float64",))).weight_map is None
