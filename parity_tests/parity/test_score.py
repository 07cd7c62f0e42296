"""A prediction may flip in float32 where the two logits are as near as the distance, and nowhere else."""

from __future__ import annotations

import numpy as np
import pytest

from parity.errors import NotCheckable
from parity.recording import Provenance, Recording
from parity.score import compare_predictions, predictions, score

NEAR = np.array([[1.0, 1.0 - 1e-7, 0.0], [3.0, 1.0, 2.0]])


def test_the_class_is_that_of_the_largest_logit() -> None:
    assert predictions(NEAR).tolist() == [0, 0]


def test_in_float64_no_prediction_may_flip() -> None:
    found, accepted = compare_predictions("test", NEAR, NEAR[:, [1, 0, 2]], "float64", None)
    assert (found.outcome, found.difference, accepted) == ("differ", 1.0, 0)
    assert "2 of 2 examples get another class, first example 0" in found.note
    assert compare_predictions("test", NEAR, NEAR.copy(), "float64", None)[0].outcome == "agree"


def test_in_float32_one_may_flip_where_the_margin_is_inside_the_distance() -> None:
    flipped = NEAR.astype("float32")
    flipped[0, 1] += 4e-7
    found, accepted = compare_predictions("test", NEAR, flipped, "float32", "jax")
    assert (found.outcome, accepted) == ("agree", 1)


def test_in_float32_none_may_flip_beyond_that() -> None:
    """No logit that was compared is as far from the judge's as the margin is wide."""
    wrong = NEAR.copy()
    # Example 1 is preferred by 1: its logits move by less than that together, and another class wins by a third one.
    wrong[1] = [2.4, 2.5, 2.45]
    judge = NEAR.copy()
    judge[1] = [3.0, 2.5, 2.45]
    assert compare_predictions("test", judge, wrong, "float32", "jax")[1] == 1
    wrong[1] = [2.5 + 1e-9, 2.5, 2.45]
    assert compare_predictions("test", judge, wrong, "float32", "jax")[1] == 0


def test_outputs_of_another_shape_differ_and_of_one_axis_cannot_be_labelled() -> None:
    assert compare_predictions("test", NEAR, NEAR[:1], "float32", "jax")[0].outcome == "differ"
    with pytest.raises(NotCheckable, match=r"need outputs \(examples, classes\)"):
        compare_predictions("test", NEAR[0], NEAR[0], "float64", None)


def test_right_answers_are_counted_on_every_batch_and_side() -> None:
    recording = Recording(Provenance("torch", {}, "cpu", "x", "float64", "float32", True))
    recording.add("score", 0, {"test.output": NEAR})
    (found,) = score({"test": {"labels": np.array([0, 2])}}, "labels", {("torch", "float64"): recording})
    assert (found.name, found.total, found.right) == ("test", 2, {("torch", "float64"): 1})
