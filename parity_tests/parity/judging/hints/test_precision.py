"""Lower precision is told by rounded operands, by numbers that float32 holds, or by an error without a pattern."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from parity.arrays.rounding import rounded
from parity.judging.hints.precision import lower_precision
from parity.recording import Array, Dtype
from parity_tests.parity.judging.hints.made_cases import drawn, noisy, of_forward, words

GIVEN, WEIGHT, BIAS = drawn(16, 64), drawn(24, 64, seed=1) / 8, drawn(24, seed=2)
RIGHT = GIVEN @ WEIGHT.T + BIAS
OWN = {"fc.weight": WEIGHT, "fc.bias": BIAS}


def told(expected: Array, found: Array, dtype: Dtype = "float64") -> str:
    sides = ({"fc.input": GIVEN, "fc.output": output} for output in (expected, found))
    return words(next(lower_precision(of_forward(sides, "fc.output", OWN, dtype)), None))


def cut(array: Array) -> Array:
    """Float32 numbers with all behind TF32's mantissa bits dropped."""
    return (array.astype("float32").view(np.uint32) & np.uint32(0xFFFFE000)).view(np.float32).astype(np.float64)


def through(narrow: Callable[[Array], Array]) -> Array:
    return np.asarray(narrow(GIVEN) @ narrow(WEIGHT).T + BIAS)


def in_float32(exact: Array) -> Array:
    """As float32 has it that sums in an order of its own."""
    return np.asarray(exact + 1e-7 * np.max(np.abs(exact)) * drawn(*exact.shape, seed=7), np.float32)


def test_operands_in_tf32_are_told_in_float32() -> None:
    operands = "as with weight and input"
    rounds = in_float32(through(lambda array: rounded(array, 10)))
    assert told(RIGHT, rounds, "float32") == f"{operands} rounded to TF32's 10 mantissa bits"
    assert told(RIGHT, in_float32(through(cut)), "float32") == f"{operands} cut off to TF32's 10 mantissa bits"
    assert told(RIGHT, in_float32(through(lambda a: rounded(a, 7))), "float32") == f"{operands} rounded to bfloat16"


def test_numbers_that_bfloat16_holds_are_told_in_float32() -> None:
    held = rounded(RIGHT, 7).astype("float32")
    assert told(RIGHT, held, "float32") == "representable in bfloat16, as of a layer with dtype=jnp.bfloat16"
    assert told(held.astype("float64"), held + np.float32(0.5), "float32") == ""
    assert told(RIGHT, held) == ""


def test_operands_in_float32_are_told_in_float64() -> None:
    narrow = through(lambda array: array.astype("float32").astype("float64"))
    assert told(RIGHT, narrow) == "as with weight and input rounded to float32"
    assert told(RIGHT, through(lambda array: rounded(array, 10))).endswith("rounded to TF32's 10 mantissa bits")


def test_an_error_of_that_size_that_is_none_is_not_told_as_tf32() -> None:
    assert told(RIGHT, in_float32(noisy(RIGHT, 3e-4)), "float32") == ""
    assert told(RIGHT, in_float32(RIGHT), "float32") == ""
    assert told(RIGHT, in_float32(1.0003 * through(lambda array: rounded(array, 10))), "float32") == ""
    assert told(2 * RIGHT, 2 * through(lambda array: rounded(array, 10))) == ""


def test_numbers_that_float32_holds_are_told() -> None:
    held = RIGHT.astype("float32").astype("float64")
    said = told(RIGHT, held)
    assert said.startswith("representable in float32 and ")
    assert said.endswith(" of its size apart, as where something is computed in float32")
    other = told(held, RIGHT)
    assert other.endswith("on the torch side representable in float32, as where that is what computes it")
    assert told(RIGHT, held + 1e-7 * held**2) == ""
    assert told(RIGHT, (1.001 * RIGHT).astype("float32").astype("float64")) == ""
    assert told(RIGHT, RIGHT.astype("float32"), "float32") == ""


@given(st.integers(0, 2**31))
def test_an_error_without_a_pattern_is_told_from_256_numbers_on(seed: int) -> None:
    rounding = 5e-8 * np.random.default_rng(seed).standard_normal(RIGHT.shape)
    said = told(RIGHT, RIGHT + rounding)
    assert said == "" or said.endswith("without a pattern, as where something on either side is computed in float32")


def test_an_error_without_a_pattern_is_usually_told() -> None:
    seeds = [5e-8 * drawn(*RIGHT.shape, seed=seed) for seed in range(20)]
    assert sum("without a pattern" in told(RIGHT, RIGHT + rounding) for rounding in seeds) >= 18


PATTERNS: dict[str, Array] = {
    "a factor": 1e-7 * RIGHT,
    "an offset": np.full_like(RIGHT, 1e-7),
    "a function": 1e-7 * np.sin(5 * RIGHT),
    "an even function": 1e-7 * RIGHT**2,
    "one channel more than others": 1e-7 * RIGHT * (1 + np.arange(24)),
    "an offset for each channel": 1e-7 * np.broadcast_to(drawn(24, seed=4), RIGHT.shape) + 1e-8 * drawn(16, 24, seed=5),
    "few numbers": 1e-7 * (np.arange(RIGHT.size).reshape(RIGHT.shape) % 50 == 0) * drawn(16, 24),
    "too large": 1e-3 * drawn(16, 24),
    "too small": 1e-12 * drawn(16, 24),
}


@pytest.mark.parametrize("pattern", PATTERNS)
def test_an_error_with_a_pattern_is_not_told(pattern: str) -> None:
    assert told(RIGHT, RIGHT + PATTERNS[pattern]) == ""


def test_a_few_numbers_do_not_tell() -> None:
    sides = ({"ln.output": array} for array in (RIGHT[:2, :5], RIGHT[:2, :5].astype("float32").astype("float64")))
    assert list(lower_precision(of_forward(sides, "ln.output"))) == []
