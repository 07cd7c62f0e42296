"""Each shape of a difference has its words, and a difference of rounding has none."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from parity.judging.hints import looks_like, looks_like_data
from parity.live import LiveSide
from parity.recording import Array, Batch, Framework, Key, Provenance, Recording
from parity_tests.parity.tiny import live
from parity_tests.parity.tiny_draws import batches, scored

SQUARE = np.random.default_rng(0).standard_normal((4, 4))
KEY = Key("trajectory", 1, "w")


def recording(*steps: Array, stage: str = "trajectory", start: Array | None = None) -> Recording:
    found = Recording(Provenance("torch", {}, "cpu", "x", "float64", "float32", True))
    if start is not None:
        found.add("init", 0, {"w": start})
    for step, array in enumerate(steps):
        found.add(stage, step, {"w": array})
    return found


SHAPES: dict[str, Callable[[Array], Any]] = {
    "twice as large": lambda a: 2 * a,
    "half as large": lambda a: a / 2,
    "of the opposite sign": lambda a: -a,
    "1.01 times as large": lambda a: 1.01 * a,
    "255 times smaller": lambda a: a / 255,
    "zero": np.zeros_like,
    "transposed": lambda a: a.T,
    "+0.5 everywhere": lambda a: a + 0.5,
    "the same values in another order": lambda a: np.roll(a, 1, axis=0),
}


@pytest.mark.parametrize("words", SHAPES)
def test_a_known_shape_has_its_words(words: str) -> None:
    others = np.ones((4, 4)), np.full((4, 4), 2.0)
    expected, found = recording(others[0], SQUARE, others[1]), recording(others[0], SHAPES[words](SQUARE), others[1])
    assert looks_like(KEY._replace(tensor="w"), expected, found, "jax") == f"on the jax side it is {words}"


def test_a_neighbouring_step_is_recognised() -> None:
    first, second, third = (np.random.default_rng(n).standard_normal(5) for n in (1, 2, 3))
    right = recording(first, second, third, stage="backward")
    key = Key("backward", 1, "w")
    assert "one step late" in looks_like(key, right, recording(first, first, second, stage="backward"), "torch")
    assert "one step early" in looks_like(key, right, recording(second, third, third, stage="backward"), "torch")
    summed = recording(first, first + second, third, stage="backward")
    assert "a gradient is not zeroed" in looks_like(key, right, summed, "torch")


def test_an_update_is_told_by_its_change() -> None:
    key, start, change = Key("trajectory", 0, "w"), SQUARE, np.random.default_rng(4).standard_normal((4, 4))
    right = recording(start + change, start=start)
    assert "1.01 times as large in its change" in looks_like(
        key, right, recording(start + 1.01 * change, start=start), "jax"
    )
    assert "of the opposite sign in its change" in looks_like(key, right, recording(start - change, start=start), "jax")
    assert "not moved" in looks_like(key, right, recording(start, start=start), "jax")


@pytest.mark.parametrize("found", [SQUARE * (1 + 1e-7), SQUARE + 1e-9 * SQUARE.T, SQUARE * np.nan, np.ones((3, 3))])
def test_what_has_no_known_shape_has_no_words(found: Array) -> None:
    assert (
        looks_like(
            Key("backward", 0, "w"), recording(SQUARE, stage="backward"), recording(found, stage="backward"), "jax"
        )
        == ""
    )


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@given(st.integers(0, 2**31), st.sampled_from([(), (1,), (5,), (3, 3), (2, 3), (2, 2, 2)]))
def test_rounding_has_no_words(dtype: str, seed: int, shape: tuple[int, ...]) -> None:
    numbers = np.random.default_rng(seed)
    steps = [np.asarray(numbers.standard_normal(shape)) for _ in range(3)]
    rounded = [np.asarray(array * (1 + 1e-7 * numbers.standard_normal(shape)), dtype) for array in steps]
    for stage in ("backward", "trajectory", "forward", "loss"):
        right, found = (recording(*arrays, stage=stage) for arrays in (steps, rounded))
        assert looks_like(Key(stage, 1, "w"), right, found, "jax") == ""


def test_nothing_is_said_of_what_is_missing_or_a_whole_number() -> None:
    right, whole = recording(SQUARE), recording(np.ones((4, 4), "int64"))
    key = Key("trajectory", 0, "w")
    assert looks_like(key, right, whole, "jax") == ""
    assert looks_like(key, whole, whole, "jax") == ""
    assert looks_like(key._replace(tensor="b"), right, right, "jax") == ""


def test_a_tensor_on_its_side_is_recognised_and_where_the_other_has_zero_so_is_that() -> None:
    key, oblong = Key("backward", 0, "w"), SQUARE[:3]
    right = recording(oblong, stage="backward")
    assert "transposed" in looks_like(key, right, recording(oblong.T, stage="backward"), "jax")
    zero = recording(0 * oblong, stage="backward")
    assert "not zero, as it is on the other" in looks_like(key, zero, right, "jax")


# Data, of which recordings keep a digest only


def sides(change: Callable[[list[Batch]], list[Batch]]) -> dict[Framework, LiveSide]:
    def changed(seed: int, steps: int) -> list[Batch]:
        return change(batches(seed, steps + 1))[:steps]

    def changed_scored(seed: int) -> dict[str, Batch]:
        return dict(zip(scored(seed), change(list(scored(seed).values())), strict=True))

    return {"torch": live("torch"), "jax": live("jax", batches=changed, scored=changed_scored)}


def every(entry: str, change: Callable[[Array], Array]) -> Callable[[list[Batch]], list[Batch]]:
    return lambda found: [batch | {entry: change(batch[entry])} for batch in found]


DATA: dict[str, tuple[str, Callable[[list[Batch]], list[Batch]]]] = {
    "the batch of one step before": ("inputs", lambda found: [found[-1], *found[:-1]]),
    "the batch of one step later": ("inputs", lambda found: found[1:] + found[:1]),
    "shifted by one example": ("labels", every("labels", lambda labels: np.roll(labels, 1))),
    "off by one": ("labels", every("labels", lambda labels: labels + 1)),
    "255 times as large": ("inputs", every("inputs", lambda inputs: inputs * 255)),
    "of the opposite sign": ("inputs", every("inputs", lambda inputs: -inputs)),
}


@pytest.mark.parametrize("words", DATA)
@pytest.mark.parametrize("step", [0, 1, 2])
def test_wrong_data_have_their_words_at_every_step(words: str, step: int) -> None:
    entry, change = DATA[words]
    assert looks_like_data(Key("data", step, entry), sides(change), 0, 3) == f"on the jax side it is {words}"


@pytest.mark.parametrize("words", ["shifted by one example", "off by one", "255 times as large"])
def test_so_have_scored_batches(words: str) -> None:
    entry, change = DATA[words]
    key = Key("data", 0, f"scored.held out.{entry}")
    assert looks_like_data(key, sides(change), 0, 3) == f"on the jax side it is {words}"


NOTHING: dict[str, Callable[[Array], Array]] = {
    "rounding": lambda inputs: inputs * (1 + 1e-9),
    "an example less": lambda inputs: inputs[1:],
    "other draws": lambda inputs: np.asarray(np.random.default_rng(99).standard_normal(inputs.shape)),
}


@pytest.mark.parametrize("what", NOTHING)
@pytest.mark.parametrize("tensor", ["inputs", "scored.held out.inputs"])
def test_other_data_have_no_words(what: str, tensor: str) -> None:
    assert looks_like_data(Key("data", 0, tensor), sides(every("inputs", NOTHING[what])), 0, 3) == ""


@pytest.mark.parametrize("tensor", ["masks", "scored.held out.masks", "scored.another.inputs"])
def test_nothing_is_said_of_data_that_are_not_there(tensor: str) -> None:
    assert looks_like_data(Key("data", 0, tensor), sides(lambda found: found), 0, 3) == ""
