"""A prediction may flip in float32 where the two logits are as near as the distance, and nowhere else."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from parity.errors import NotCheckable
from parity.judging.score import Labelled, compare_predictions, labels_of, score
from parity.recording import Array, Key, Provenance, Recording

NEAR = np.array([[1.0, 1.0 - 1e-7, 0.0], [3.0, 1.0, 2.0]])
TWO = Labelled(np.array([0, 2]), "output", 1)
"""Labels of the two examples of `NEAR`."""


def test_the_class_is_that_of_the_largest_logit() -> None:
    assert TWO.given(NEAR).tolist() == [0, 0]


# Which axis the classes are on


@pytest.mark.parametrize(
    ("output", "labels", "axis"),
    [
        ((8, 5), (8,), 1),
        ((1, 5), (1,), 1),
        ((8, 8), (8,), 1),
        ((8, 40, 5), (8, 40), 2),
        ((8, 5, 40), (8, 40), 1),
        ((2, 4, 6, 7), (2, 6, 7), 1),
        ((2, 6, 7, 4), (2, 6, 7), 3),
        ((40, 5), (40,), 1),
    ],
)
def test_the_shapes_tell_which_axis_the_classes_are_on(
    output: tuple[int, ...], labels: tuple[int, ...], axis: int
) -> None:
    numbers = np.random.default_rng(0).standard_normal(output)
    found = labels_of({"output": numbers}, np.zeros(labels, int), "'labels' of test")
    assert (found.output, found.axis) == ("output", axis)
    assert found.given(numbers).shape == labels
    np.testing.assert_array_equal(found.given(numbers), np.argmax(numbers, axis=axis))


@pytest.mark.parametrize(
    ("output", "labels", "words"),
    [
        ((8, 5), np.zeros((8, 1), int), r"have shape \(8, 1\), and output has \(8, 5\): expected the shape"),
        ((8, 5), np.zeros((8, 5), int), "expected the shape of an output without the axis of its classes"),
        ((8,), np.zeros(8, int), "which is the last or the second"),
        ((8, 1), np.zeros(8, int), "the axis of its classes, two or more"),
        ((2, 4, 6, 7), np.zeros((2, 4, 7), int), r"output has \(2, 4, 6, 7\)"),
        ((8, 5, 5), np.zeros((8, 5), int), "may be on its second axis or its last"),
        ((8, 5), np.zeros(8), "are float64: expected the number of a class, whole"),
    ],
    ids=["an axis more", "soft", "one axis", "one class", "another axis", "two axes", "floating"],
)
def test_labels_that_do_not_tell_it_are_refused(output: tuple[int, ...], labels: Array, words: str) -> None:
    with pytest.raises(NotCheckable, match=words) as told:
        labels_of({"output": np.zeros(output)}, labels, "'labels' of test")
    assert str(told.value).startswith("the pair's labels 'labels' of test ")


def test_of_several_outputs_the_first_that_has_classes_is_labelled() -> None:
    outputs = {"output": np.zeros(8), "output1": np.zeros((8, 5)), "output2": np.zeros((8, 3))}
    assert labels_of(outputs, np.zeros(8, int), "'labels' of test").output == "output1"


def test_a_mistake_in_one_position_is_found_at_it_whichever_axis_has_the_classes() -> None:
    right = np.random.default_rng(1).standard_normal((2, 4, 6, 7))
    wrong = right.copy()
    wrong[1, :, 2, 3] = -wrong[1, :, 2, 3]
    labels = np.argmax(right, axis=1)
    for axis in (1, 3):
        batch = Labelled(labels, "output", axis)
        judge, other = (np.moveaxis(array, 1, axis) for array in (right, wrong))
        found, _ = compare_predictions("test", batch, judge, other, "float64", None, exactly=True)
        assert found.note == "1 of 84 examples get another class, first example 1 at 2, 3"
        recordings = {}
        for dtype, array in (("float64", judge), ("float32", other)):
            recordings["torch", dtype] = Recording(Provenance("torch", {}, "cpu", "x", "float64", "float32", True))
            recordings["torch", dtype].add("score", 0, {"test.output": array})
        (counted,) = score({"test": batch}, recordings)  # type: ignore[arg-type]
        assert (counted.total, [*counted.right.values()]) == (84, [84, 83])


# Which predictions may flip


def test_in_float64_no_prediction_may_flip() -> None:
    found, accepted = compare_predictions("test", TWO, NEAR, NEAR[:, [1, 0, 2]], "float64", None, exactly=True)
    assert (found.outcome, found.difference, accepted) == ("differ", 1.0, 0)
    assert "2 of 2 examples get another class, first example 0" in found.note
    assert compare_predictions("test", TWO, NEAR, NEAR.copy(), "float64", None, exactly=True)[0].outcome == "agree"


def test_in_float32_one_may_flip_where_the_margin_is_inside_the_distance() -> None:
    flipped = NEAR.astype("float32")
    flipped[0, 1] += 4e-7
    found, accepted = compare_predictions("test", TWO, NEAR, flipped, "float32", "jax", exactly=False)
    assert (found.outcome, accepted) == ("agree", 1)


def test_in_float32_none_may_flip_beyond_that() -> None:
    """No logit that was compared is as far from the judge's as the margin is wide."""
    wrong = NEAR.copy()
    # Example 1 is preferred by 1: its logits move by less than that together, and another class wins by a third one.
    wrong[1] = [2.4, 2.5, 2.45]
    judge = NEAR.copy()
    judge[1] = [3.0, 2.5, 2.45]
    assert compare_predictions("test", TWO, judge, wrong, "float32", "jax", exactly=False)[1] == 1
    wrong[1] = [2.5 + 1e-9, 2.5, 2.45]
    assert compare_predictions("test", TWO, judge, wrong, "float32", "jax", exactly=False)[1] == 0


def test_outputs_of_another_shape_differ_and_are_not_counted() -> None:
    assert compare_predictions("test", TWO, NEAR, NEAR[:1], "float32", "jax", exactly=False)[0].outcome == "differ"
    for array in (NEAR[:1], NEAR[0], np.asarray(1.0), NEAR.T):
        recording = Recording(Provenance("torch", {}, "cpu", "x", "float64", "float32", True))
        recording.add("score", 0, {"test.output": array})
        assert score({"test": TWO}, {("torch", "float64"): recording})[0].right == {}


def test_right_answers_are_counted_on_every_batch_and_side() -> None:
    recording = Recording(Provenance("torch", {}, "cpu", "x", "float64", "float32", True))
    recording.add("score", 0, {"test.output": NEAR})
    (found,) = score({"test": TWO}, {("torch", "float64"): recording})
    assert (found.name, found.total, found.right) == ("test", 2, {("torch", "float64"): 1})


def test_a_comparison_says_what_and_where_it_is() -> None:
    found, _ = compare_predictions("test", TWO, NEAR, NEAR.astype("float32"), "float32", "torch", exactly=False)
    assert (found.key, found.dtype, found.side) == (Key("score", 0, "test.predictions"), "float32", "torch")
    assert (found.limit, found.difference, found.power, found.note) == (0.0, 0.0, None, "")


@given(st.integers(0, 2**31), st.sampled_from([0.0, 1e-7, 1e-3, 1.0]))
def test_what_is_accepted_is_what_flipped(seed: int, aside: float) -> None:
    numbers = np.random.default_rng(seed)
    judge = numbers.standard_normal((20, 4))
    found = (judge + aside * numbers.standard_normal((20, 4))).astype("float32")
    batch = Labelled(np.zeros(20, int), "output", 1)
    comparison, accepted = compare_predictions("test", batch, judge, found, "float32", "jax", exactly=False)
    flipped = int(np.sum(batch.given(judge) != batch.given(found)))
    assert accepted == flipped - round(comparison.difference * 20)
    in_float64, none = compare_predictions("test", batch, judge, found.astype("float64"), "float64", None, exactly=True)
    assert (in_float64.outcome == "differ", none) == (flipped > 0, 0)
    assert in_float64.difference == flipped / 20


def test_a_missing_output_is_not_counted() -> None:
    recording = Recording(Provenance("torch", {}, "cpu", "x", "float64", "float32", True))
    (found,) = score({"test": TWO}, {("torch", "float64"): recording})
    assert found.right == {}
