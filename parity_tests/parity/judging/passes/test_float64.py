"""Two float64 recordings agree within the smaller noise of the two, and whatever cannot be compared differs."""

from __future__ import annotations

import math

import numpy as np
import pytest

from parity.judging.distance.difference import scales
from parity.judging.distance.factors import FLOAT64_CEILING, FLOAT64_FACTOR, FLOAT64_FLOOR, NOISE_DRAWS
from parity.judging.passes.float64 import compare_exact, compare_float64
from parity.recording import Array, Framework, Key, Recording, keys_of
from parity.verdict import Comparison
from parity_tests.parity.made_recordings import MadeNoise, forward, off, recording

ARRAY = np.array([[1.0, -2.0, 0.5], [0.0, 0.25, 1.5]])
BOTH = pytest.mark.parametrize("swap", [False, True], ids=["jax is wrong", "torch is wrong"])


def never(framework: Framework, steps: int | None) -> MadeNoise:
    raise AssertionError("noise was drawn where it cannot change anything")


def compared(torch: Recording, jax: Recording) -> list[Comparison]:
    """Where no noise is needed."""
    return compare_float64(torch, jax, scales([torch, jax]), never, keys=keys_of(torch, jax))


def one(expected: Array, found: Array, swap: bool = False) -> Comparison:
    pair = (found, expected) if swap else (expected, found)
    (comparison,) = compared(*(forward(array) for array in pair))
    return comparison


def noisy(apart: float, torch_noise: float, jax_noise: float) -> tuple[Comparison, dict[Framework, MadeNoise]]:
    """Two sides so far apart, each so noisy."""
    torch, jax = forward(ARRAY), forward(off(ARRAY, apart))
    made: dict[Framework, MadeNoise] = {
        "torch": MadeNoise(torch, forward(off(ARRAY, torch_noise))),
        "jax": MadeNoise(jax, forward(off(off(ARRAY, apart), jax_noise))),
    }
    (found,) = compare_float64(
        torch, jax, scales([torch, jax]), lambda framework, _: made[framework], keys=keys_of(torch, jax)
    )
    return found, made


# What agrees


def test_what_is_equal_agrees_and_so_does_rounding() -> None:
    assert (one(ARRAY, ARRAY.copy()).outcome, one(ARRAY, ARRAY.copy()).difference) == ("agree", 0)
    assert one(ARRAY, off(ARRAY, FLOAT64_FLOOR / 2)).outcome == "agree"


@pytest.mark.parametrize("shape", [(), (0,), (3, 0), (2, 2)])
def test_zero_on_both_sides_agrees_in_any_shape(shape: tuple[int, ...]) -> None:
    assert one(np.zeros(shape), np.zeros(shape)).outcome == "agree"


@BOTH
def test_zero_on_one_side_only_differs_however_small_the_other(swap: bool) -> None:
    found = one(np.zeros(3), np.full(3, 1e-300), swap)
    assert (found.outcome, found.difference) == ("differ", 1.0)


def test_a_tensor_that_grows_later_does_not_loosen_its_beginning() -> None:
    def run(first: float) -> Recording:
        return recording(*(("trajectory", s, {"loss": np.array(v)}) for s, v in enumerate((first, 1e6))))

    found = compared(run(1.0), run(1.0 + 1e-8))
    assert [comparison.outcome for comparison in found] == ["differ", "agree"]
    assert [c.outcome for c in compared(run(1e6), run(1e6 + 1e-8))] == ["agree", "agree"]


# What cannot be compared


FAULTS: dict[str, tuple[Array, str]] = {
    "NaN": (off(ARRAY, np.nan), "NaN on the"),
    "infinity": (off(ARRAY, np.inf), "infinity on the"),
    "minus infinity": (off(ARRAY, -np.inf), "infinity on the"),
    "float32": (ARRAY.astype("float32"), "float32 on the"),
    "float16": (ARRAY.astype("float16"), "float16 on the"),
    "whole numbers": (ARRAY.astype("int64"), "int64"),
    "a row less": (ARRAY[:1], "shape"),
    "a row that would broadcast": (ARRAY[0], "shape"),
    "nothing": (ARRAY[:0], "shape"),
    "transposed": (ARRAY.T, "shape"),
    "an axis more": (ARRAY[None], "shape"),
}


@BOTH
@pytest.mark.parametrize("fault", FAULTS)
def test_what_cannot_be_compared_differs_and_says_why(fault: str, swap: bool) -> None:
    array, words = FAULTS[fault]
    found = one(ARRAY, array, swap)
    assert (found.outcome, found.difference) == ("differ", math.inf)
    assert words in found.note
    assert ("torch" if swap else "jax") in found.note


@pytest.mark.parametrize("fault", ["NaN", "infinity", "float32", "float16"])
def test_a_fault_on_both_sides_is_one_too(fault: str) -> None:
    array, words = FAULTS[fault]
    found = one(array, array.copy())
    assert (found.outcome, words in found.note) == ("differ", True)


@BOTH
def test_a_tensor_of_one_side_only_differs(swap: bool) -> None:
    more = recording(("forward", 0, {"fc.output": ARRAY, "extra.output": ARRAY}))
    pair = (more, forward(ARRAY)) if swap else (forward(ARRAY), more)
    wrong = [comparison for comparison in compared(*pair) if comparison.outcome == "differ"]
    assert [comparison.key.tensor for comparison in wrong] == ["extra.output"]
    assert wrong[0].note == f"missing on the {'jax' if swap else 'torch'} side"


def test_a_key_that_neither_side_has_differs() -> None:
    torch = forward(ARRAY)
    (found,) = compare_float64(torch, torch, scales([torch]), never, keys=[Key("forward", 7, "fc.output")])
    assert (found.outcome, found.note) == ("differ", "missing on the torch side")


def test_nothing_compared_is_nothing() -> None:
    assert compared(recording(), recording()) == []


# Bit for bit


EXACT: dict[str, tuple[str, Array, Array]] = {
    "the last bit of a parameter": ("init", np.ones(2), np.array([1.0, np.nextafter(1, 2)])),
    "a zero of the other sign": ("init", np.zeros(2), np.array([0.0, -0.0])),
    "one byte of data": ("data", np.zeros(4, "uint8"), np.array([0, 0, 0, 1], "uint8")),
    "a step more": ("update", np.array(1), np.array(2)),
    "a narrower whole number that is another": ("update", np.array(1, "int64"), np.array(2, "int32")),
    "what does not fit in 32 bits": ("update", np.array(2**32 + 1, "int64"), np.array(1, "int32")),
    "the same 64 bits without a sign": ("update", np.array(-1, "int64"), np.array(2**64 - 1, "uint64")),
    "a truth for a whole number": ("forward", np.array([True, False]), np.array([1, 0])),
    "a step with an axis": ("update", np.array(1), np.array([1])),
    "a truth": ("forward", np.array([True, False]), np.array([True, True])),
    "whole numbers of data": ("data", np.arange(4), np.arange(4.0)),
}


@BOTH
@pytest.mark.parametrize("what", EXACT)
def test_what_has_to_be_bit_exact_is(what: str, swap: bool) -> None:
    stage, a, b = EXACT[what]
    first, second = (b, a) if swap else (a, b)
    key = Key(stage, 0, "t")
    (same,) = compared(recording((stage, 0, {"t": a})), recording((stage, 0, {"t": a.copy()})))
    assert (same.outcome, same.limit) == ("agree", 0)
    (found,) = compared(recording((stage, 0, {"t": first})), recording((stage, 0, {"t": second})))
    assert (found.outcome, found.limit) == ("differ", 0)
    assert found.note
    assert compare_exact(key, first, second, "float64", None) == found


@pytest.mark.parametrize("dtype", ["int32", "uint8", "int64", "uint64"])
@pytest.mark.parametrize("stage", ["init", "forward", "update"])
def test_equal_whole_numbers_agree_in_however_many_bits_they_are_held(stage: str, dtype: str) -> None:
    numbers = np.array([[0, 1], [2, 127]])
    for first, second in ((numbers, numbers.astype(dtype)), (numbers.astype(dtype), numbers)):
        assert compare_exact(Key(stage, 0, "t"), first, second, "float32", None).outcome == "agree"


@pytest.mark.parametrize("pair", [(None, ARRAY), (ARRAY, None), (None, None), (off(ARRAY, np.nan),) * 2])
def test_what_is_missing_or_not_a_number_is_not_bit_exact(pair: tuple[Array | None, Array | None]) -> None:
    found = compare_exact(Key("init", 0, "w"), *pair, "float64", None)
    assert (found.outcome, found.difference) == ("differ", math.inf)


# The limit from noise


def test_noise_on_both_sides_widens_the_limit_and_on_one_side_it_does_not() -> None:
    apart = 10 * FLOAT64_FLOOR
    both, made = noisy(apart, apart, apart)
    assert both.outcome == "agree"
    assert both.limit == pytest.approx(FLOAT64_FACTOR * apart, rel=1e-3)
    assert [noise.runs for noise in made.values()] == [1, 1]
    for noises in ((apart, 0.0), (0.0, apart)):
        found, made = noisy(apart, *noises)
        assert (found.outcome, found.limit) == ("differ", FLOAT64_FLOOR)
        assert [noise.runs for noise in made.values()] == [NOISE_DRAWS, NOISE_DRAWS]


def test_no_noise_widens_it_beyond_the_ceiling() -> None:
    assert noisy(FLOAT64_CEILING * 0.9, 1.0, 1.0)[0].outcome == "agree"
    found, made = noisy(FLOAT64_CEILING * 1.1, 1.0, 1.0)
    assert found.outcome == "differ"
    assert [noise.runs for noise in made.values()] == [0, 0]


def test_noise_is_drawn_no_further_than_to_the_last_tensor_in_doubt() -> None:
    def run(apart: float, *more: tuple[str, int, dict[str, Array]]) -> Recording:
        return recording(*(("trajectory", s, {"w": off(ARRAY, apart if s == 2 else 0)}) for s in range(5)), *more)

    asked: list[int | None] = []

    def noise_of(_: Framework, steps: int | None) -> MadeNoise:
        asked.append(steps)
        return MadeNoise(run(0))

    torch, jax = run(0), run(1e-11)
    found = compare_float64(torch, jax, scales([torch, jax]), noise_of, keys=keys_of(torch, jax), loop="a loop")
    assert asked == [3, 3]
    assert [c.outcome for c in found] == ["agree"] * 2 + ["differ"] + ["agree"] * 2
    assert {c.loop for c in found} == {"a loop"}
    torch, jax = (run(0, ("score", 0, {"test.output": off(ARRAY, apart)})) for apart in (0, 1e-11))
    compare_float64(torch, jax, scales([torch, jax]), noise_of, keys=keys_of(torch, jax))
    assert asked[2:] == [None, None]


def test_a_null_gradient_is_judged_in_the_scale_of_its_stage_and_told() -> None:
    def run(null: float) -> Recording:
        return recording(("backward", 0, {"weight": ARRAY, "bias": np.array([null])}))

    found = {c.key.tensor: c for c in compared(run(1e-17), run(-3e-17))}
    assert (found["bias"].outcome, found["bias"].note) == ("agree", "null gradient")
    assert found["weight"].note == ""
    found = {c.key.tensor: c for c in compared(run(1e-17), run(1e-5))}
    assert found["bias"].outcome == "differ"
