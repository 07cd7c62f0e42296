"""A limit is worth the distance of the nearest wrong answer, and what moves nothing is worth nothing."""

from __future__ import annotations

import numpy as np
import pytest

from parity.judging.distance.difference import scales
from parity.judging.distance.power import KINDS, by_kind, multiplies_matrices, powerless, without_power, wrong_answers
from parity.recording import STAGES, Array, Arrays, Key, Provenance, Recording
from parity_tests.parity.made_recordings import recording

WEIGHT = np.array([[1.0, 0.5], [0.25, 1.0]])


def judge(**updates: Arrays) -> Recording:
    found = Recording(Provenance("torch", {}, "cpu", "x", "float64", "float32", True))
    found.add("init", 0, {"w": WEIGHT})
    for step, change in enumerate((0.0, 0.1)):
        arrays = {"w": WEIGHT + change, "exp_avg.w": WEIGHT}
        found.add("forward", step, {"w.output": WEIGHT * (1 + change)})
        found.add("update", step, arrays)
        found.add("trajectory", step, arrays)
    return found


def test_each_kind_of_wrong_answer_shows_what_it_would() -> None:
    found = wrong_answers(judge(), scales([judge()]), {Key("forward", 0, "w.output"): 3e-4})
    assert found[Key("forward", 0, "w.output")] == {"sign": 2, "zero": 1, "transposed": 0.25, "coarse": 3e-4}
    assert found[Key("forward", 1, "w.output")]["stale"] == pytest.approx(0.1 / 1.1)


def test_an_update_not_applied_is_asked_of_parameters_and_not_of_moments() -> None:
    found = wrong_answers(judge(), scales([judge()]), {})
    assert found[Key("update", 0, "w")]["not applied"] == 0
    assert found[Key("update", 1, "w")]["not applied"] == pytest.approx(0.1 / 1.1)
    assert "not applied" not in found[Key("update", 1, "exp_avg.w")]


def test_power_is_the_largest_in_limits_over_the_tensors_of_a_stage() -> None:
    one, two = Key("forward", 0, "a"), Key("forward", 0, "b")
    answers = {one: {"sign": 2.0, "zero": 1.0}, two: {"sign": 1.0}}
    assert by_kind(answers, {one: 1e-3, two: 1e-4}) == {"forward": {"sign": pytest.approx(1e4), "zero": 1000}}
    assert by_kind(answers, {one: 0.0}) == {}


def test_matrices_are_what_shows_lower_precision() -> None:
    assert multiplies_matrices(judge())
    line = Recording(judge().provenance)
    line.add("init", 0, {"m": np.ones(1), "c": np.ones(1)})
    assert not multiplies_matrices(line)


def shown(
    array: Array, stage: str = "backward", before: Array | None = None, parameter: bool = True
) -> dict[str, float]:
    """What each kind of wrong answer would show for an array at step 1."""
    steps = [(stage, 1, {"w": array})] if before is None else [(stage, 0, {"w": before}), (stage, 1, {"w": array})]
    found = recording(*([("init", 0, {"w": array})] if parameter else []), *steps)
    return wrong_answers(found, scales([found]), {})[Key(stage, 1, "w")]


def test_power_falls_where_a_wrong_answer_is_nearly_right() -> None:
    near = 1e-6
    symmetric = WEIGHT + WEIGHT.T
    assert shown(symmetric)["transposed"] == 0
    assert shown(symmetric + np.array([[0, near], [0, 0]]))["transposed"] == pytest.approx(near / 2)
    # What is no weight, and symmetric but for rounding, is its own transposed: no wrong answer at all.
    assert "transposed" not in shown(symmetric + np.array([[0, 1e-15], [0, 0]]), parameter=False)
    assert shown(symmetric + np.array([[0, near], [0, 0]]), parameter=False)["transposed"] == pytest.approx(near / 2)
    assert shown(WEIGHT, before=WEIGHT)["stale"] == 0
    assert shown(WEIGHT, before=WEIGHT - near)["stale"] == pytest.approx(near)
    # A gradient that has converged is small in the scale of what it was.
    converged = shown(WEIGHT * near, before=WEIGHT)
    assert [converged["sign"], converged["zero"]] == pytest.approx([2 * near, near])


@pytest.mark.parametrize("array", [np.zeros(()), np.zeros((2, 2)), np.zeros((0, 3))])
def test_a_tensor_that_is_zero_has_no_power(array: Array) -> None:
    assert set(shown(array, before=array).values()) == {0.0}


@pytest.mark.parametrize("array", [np.ones(()), np.ones(2), np.ones((2, 3)), np.ones((1, 1)), np.ones((2, 2, 2))])
def test_only_what_is_square_could_be_transposed(array: Array) -> None:
    assert "transposed" not in shown(array)


def test_a_value_of_another_shape_one_step_before_is_not_asked_for() -> None:
    assert "stale" not in shown(np.ones(3), before=np.ones(2))


@pytest.mark.parametrize("stage", STAGES)
def test_each_stage_is_asked_for_its_kinds_only(stage: str) -> None:
    found = recording(("init", 0, {"w": WEIGHT}), (stage, 0, {"w": WEIGHT}), (stage, 1, {"w": 2 * WEIGHT}))
    key = Key(stage, 1, "w")
    if stage == "update":
        found.add("trajectory", 0, {"w": 1.5 * WEIGHT})
    kinds = wrong_answers(found, scales([found]), {key: 1e-3}).get(key, {})
    assert set(kinds) == set(KINDS.get(stage, ()))


def test_of_a_null_gradient_zero_is_no_wrong_answer_and_a_sign_is_a_small_one() -> None:
    found = recording(("backward", 0, {"w": WEIGHT, "null": np.full(2, 1e-17)}))
    answers = wrong_answers(found, scales([found]), {})
    assert answers[Key("backward", 0, "null")] == {"sign": 2e-17}
    assert answers[Key("backward", 0, "w")]["zero"] == 1


def test_whole_numbers_have_no_power() -> None:
    found = recording(("update", 0, {"step": np.array(3)}), ("init", 0, {"w": WEIGHT}))
    assert wrong_answers(found, scales([found]), {}) == {}


@pytest.mark.parametrize("limit", [1e-12, 1e-6, 1.0])
def test_power_is_lost_as_the_limit_is_loosened(limit: float) -> None:
    key = Key("loss", 0, "loss")
    found = recording(("loss", 0, {"loss": np.array(4.0)}))
    answers = wrong_answers(found, scales([found]), {})
    assert by_kind(answers, {key: limit}) == {"loss": {"sign": 2 / limit, "zero": 1 / limit}}


def test_what_was_not_asked_for_leaves_its_stage_without_any_kind() -> None:
    assert by_kind({}, {Key("loss", 0, "loss"): 1e-3}) == {"loss": {}}


def test_a_stage_is_powerless_where_no_kind_is_far_enough() -> None:
    assert powerless({"sign": 1.9, "zero": 0.9})
    assert not powerless({"sign": 2.0, "zero": 0.9})
    assert not powerless({})


def test_a_tensor_is_without_power_where_it_is_so_at_every_step() -> None:
    answers = {Key("forward", step, tensor): {"sign": 2.0, "zero": 1.0} for step in (0, 1) for tensor in "ab"}
    limits = {key: 1.5 if key.tensor == "a" or key.step == 0 else 0.5 for key in answers}
    assert without_power(answers, limits) == ["forward a"]
