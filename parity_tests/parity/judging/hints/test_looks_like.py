"""Each shape of a difference has its words, and a difference of rounding has none."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from parity.judging.hints.looks_like import looks_like
from parity.recording import Array, Key, Provenance, Recording

NOISE = np.random.default_rng(6).standard_normal((4, 4))
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
    "rolled along axis 0 by 1": lambda a: np.roll(a, 1, axis=0),
    "the same values in another order": lambda a: np.random.default_rng(5).permuted(a, axis=None),
}


@pytest.mark.parametrize("words", SHAPES)
def test_a_known_shape_has_its_words(words: str) -> None:
    others = np.ones((4, 4)), np.full((4, 4), 2.0)
    expected, found = recording(others[0], SQUARE, others[1]), recording(others[0], SHAPES[words](SQUARE), others[1])
    assert looks_like(KEY, expected, found, "jax").startswith(f"on the jax side it is {words}")


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
    assert "as with a change 1.01 times as large" in looks_like(
        key, right, recording(start + 1.01 * change, start=start), "jax"
    )
    assert "as with a change of the opposite sign" in looks_like(
        key, right, recording(start - change, start=start), "jax"
    )
    assert "not moved" in looks_like(key, right, recording(start, start=start), "jax")


@pytest.mark.parametrize(
    "found", [SQUARE * (1 + 1e-7 * NOISE), SQUARE + 1e-9 * SQUARE.T, SQUARE * np.nan, np.ones((3, 3))]
)
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


SIZES = st.integers(1, 4)


@given(st.integers(0, 2**31), st.lists(SIZES, min_size=1, max_size=4), st.lists(SIZES, max_size=3))
def test_layers_of_any_shape_are_looked_at_and_nothing_is_told_of_other_numbers(
    seed: int, shape: list[int], weight: list[int]
) -> None:
    numbers = np.random.default_rng(seed)
    own = {f"fc.{name}": numbers.standard_normal(weight) for name in ("weight", "bias", "running_mean", "running_var")}
    given_, *outputs = (numbers.standard_normal(shape) for _ in range(3))
    expected, found = (recording_of(own, {"fc.input": given_, "fc.output": output}) for output in outputs)
    assert looks_like(Key("forward", 0, "fc.output"), expected, found, "jax") == ""


def recording_of(own: dict[str, Array], forward: dict[str, Array]) -> Recording:
    found = recording(start=None)
    found.add("init", 0, own)
    found.add("forward", 0, forward)
    return found


@pytest.mark.parametrize("size", [1e300, 1e-300, 1e-320])
@pytest.mark.parametrize("stage", ["forward", "backward", "update", "loss"])
def test_numbers_of_any_size_are_looked_at(size: float, stage: str) -> None:
    right, found = (recording(size * array, stage=stage, start=SQUARE) for array in (SQUARE, NOISE))
    assert looks_like(Key(stage, 0, "w"), right, found, "jax") == ""


@pytest.mark.parametrize("key", [Key("trajectory", 2, "w"), Key("update", 2, "w"), Key("forward", 2, "fc.output")])
def test_where_the_step_before_was_not_kept_the_rest_is_told(key: Key) -> None:
    sides = [recording(SQUARE, SQUARE, start=SQUARE) for _ in range(2)]
    for found, array in zip(sides, (SQUARE, 2 * SQUARE), strict=True):
        found.groups["trajectory", 1] = {"loss": np.asarray(1.0)}
        found.add("trajectory", 2, {"gradient.w": SQUARE})
        found.add(key.stage, 2, {key.tensor: array, "fc.input": SQUARE})
    assert looks_like(key, sides[0], sides[1], "jax").startswith("on the jax side it is twice as large")
