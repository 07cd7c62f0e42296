"""A limit is worth the distance of the nearest wrong answer, and what moves nothing is worth nothing."""

from __future__ import annotations

import numpy as np
import pytest

from parity.difference import scales
from parity.power import by_kind, multiplies_matrices, wrong_answers
from parity.recording import Arrays, Key, Provenance, Recording

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
