"""A prediction may flip in float32 where the two logits are as near as the distance, and nowhere else."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from parity.errors import NotCheckable
from parity.judging.score import compare_predictions, predictions, score
from parity.recording import Key, Provenance, Recording

NEAR = np.array([[1.0, 1.0 - 1e-7, 0.0], [3.0, 1.0, 2.0]])


def test_the_class_is_that_of_the_largest_logit() -> None:
    assert predictions(NEAR).tolist() == [0, 0]


def test_in_float64_no_prediction_may_flip() -> None:
    found, accepted = compare_predictions("test", NEAR, NEAR[:, [1, 0, 2]], "float64", None, exactly=True)
    assert (found.outcome, found.difference, accepted) == ("differ", 1.0, 0)
    assert "2 of 2 examples get another class, first example 0" in found.note
    assert compare_predictions("test", NEAR, NEAR.copy(), "float64", None, exactly=True)[0].outcome == "agree"


def test_in_float32_one_may_flip_where_the_margin_is_inside_the_distance() -> None:
    flipped = NEAR.astype("float32")
    flipped[0, 1] += 4e-7
    found, accepted = compare_predictions("test", NEAR, flipped, "float32", "jax", exactly=False)
    assert (found.outcome, accepted) == ("agree", 1)


def test_in_float32_none_may_flip_beyond_that() -> None:
    """No logit that was compared is as far from the judge's as the margin is wide."""
    wrong = NEAR.copy()
    # Example 1 is preferred by 1: its logits move by less than that together, and another class wins by a third one.
    wrong[1] = [2.4, 2.5, 2.45]
    judge = NEAR.copy()
    judge[1] = [3.0, 2.5, 2.45]
    assert compare_predictions("test", judge, wrong, "float32", "jax", exactly=False)[1] == 1
    wrong[1] = [2.5 + 1e-9, 2.5, 2.45]
    assert compare_predictions("test", judge, wrong, "float32", "jax", exactly=False)[1] == 0


def test_outputs_of_another_shape_differ_and_of_one_axis_cannot_be_labelled() -> None:
    assert compare_predictions("test", NEAR, NEAR[:1], "float32", "jax", exactly=False)[0].outcome == "differ"
    with pytest.raises(NotCheckable, match=r"need outputs \(examples, classes\)"):
        compare_predictions("test", NEAR[0], NEAR[0], "float64", None, exactly=True)


def test_right_answers_are_counted_on_every_batch_and_side() -> None:
    recording = Recording(Provenance("torch", {}, "cpu", "x", "float64", "float32", True))
    recording.add("score", 0, {"test.output": NEAR})
    (found,) = score({"test": {"labels": np.array([0, 2])}}, "labels", {("torch", "float64"): recording})
    assert (found.name, found.total, found.right) == ("test", 2, {("torch", "float64"): 1})


def test_a_comparison_says_what_and_where_it_is() -> None:
    found, _ = compare_predictions("test", NEAR, NEAR.astype("float32"), "float32", "torch", exactly=False)
    assert (found.key, found.dtype, found.side) == (Key("score", 0, "test.predictions"), "float32", "torch")
    assert (found.limit, found.difference, found.power, found.note) == (0.0, 0.0, None, "")


@given(st.integers(0, 2**31), st.sampled_from([0.0, 1e-7, 1e-3, 1.0]))
def test_what_is_accepted_is_what_flipped(seed: int, aside: float) -> None:
    numbers = np.random.default_rng(seed)
    judge = numbers.standard_normal((20, 4))
    found = (judge + aside * numbers.standard_normal((20, 4))).astype("float32")
    comparison, accepted = compare_predictions("test", judge, found, "float32", "jax", exactly=False)
    flipped = int(np.sum(predictions(judge) != predictions(found)))
    assert accepted == flipped - round(comparison.difference * 20)
    in_float64, none = compare_predictions("test", judge, found.astype("float64"), "float64", None, exactly=True)
    assert (in_float64.outcome == "differ", none) == (flipped > 0, 0)
    assert in_float64.difference == flipped / 20


def test_labels_that_are_not_there_are_told_and_a_missing_output_is_not_counted() -> None:
    recording = Recording(Provenance("torch", {}, "cpu", "x", "float64", "float32", True))
    with pytest.raises(NotCheckable, match="labels 'classes' are not in the scored batch test: it has labels"):
        score({"test": {"labels": np.array([0])}}, "classes", {("torch", "float64"): recording})
    (found,) = score({"test": {"labels": np.array([0])}}, "labels", {("torch", "float64"): recording})
    assert found.right == {}
