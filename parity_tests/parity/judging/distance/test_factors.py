"""Both sides of every stated factor: what must pass does, and what must not is stopped."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from parity.arrays.rounding import BFLOAT16_BITS, COARSE_BITS, held, rounded
from parity.judging.distance.difference import difference, largest, scales
from parity.judging.distance.factors import (
    BFLOAT16_FACTOR,
    CAP,
    FEW_EPS,
    FLOAT32_FACTOR,
    FLOAT64_CEILING,
    FLOAT64_FACTOR,
    FLOAT64_FLOOR,
    LOW_CAP,
    MINIMUM_POWER,
    NULL,
    UNDERFLOW,
)
from parity.judging.distance.limits import SMALLEST_NORMAL, float32_limit, float64_limit, underflow
from parity.recording import Array, Key
from parity.verdict import EPS
from parity_tests.parity.made_recordings import recording


def operands(inner: int) -> tuple[Array, Array]:
    numbers = np.random.default_rng(0)
    return numbers.standard_normal((64, inner)), numbers.standard_normal((inner, 32))


def product(a: Array, b: Array, bits: int | None = None, dtype: str = "float32", order: int = 1) -> Array:
    """A product of matrices in a dtype, its factors rounded to `bits`, summed from the front or from the back."""
    a, b = rounded(a.astype(dtype), bits), rounded(b.astype(dtype), bits)
    return np.asarray(a[:, ::order] @ b[::order])


def far(found: Array, expected: Array) -> float:
    return difference(found, expected, largest(expected))


@pytest.mark.parametrize("inner", [5, 100, 784, 20_000])
def test_a_sum_in_another_order_passes_in_float32_and_tf32_and_bfloat16_do_not(inner: int) -> None:
    a, b = operands(inner)
    judge = a @ b
    coarse = far(product(a, b, COARSE_BITS["float32"]), judge)
    limit = float32_limit(far(product(a, b), judge), 0.0, coarse)
    assert limit.has_power
    assert far(product(a, b, order=-1), judge) <= limit.limit / 5
    assert far(product(a, b, COARSE_BITS["float32"]), judge) >= limit.limit / CAP * 0.999
    assert far(product(a, b, BFLOAT16_BITS), judge) > 5 * limit.limit


def running_sum(array: Array) -> Array:
    """One number after the other, as no library does it: the worst order there is."""
    return np.asarray(np.cumsum(array, axis=0, dtype=array.dtype)[-1])


def test_a_very_long_sum_one_by_one_passes_beside_itself_in_another_order() -> None:
    """60,000 numbers: rounding errors pile up to 1e-5 of the sum, and TF32's cancel out."""
    numbers = np.random.default_rng(1).random((60_000, 4))
    judge = numbers.sum(0)
    there, back = (far(running_sum(n.astype("float32")), judge) for n in (numbers, numbers[::-1]))
    coarse = far(rounded(numbers, COARSE_BITS["float32"]).sum(0), judge)
    limit = float32_limit(there, 0.0, coarse)
    assert CAP * coarse < LOW_CAP * EPS["float32"]
    assert there > CAP * coarse
    assert not limit.has_power
    assert back <= limit.limit


def test_a_very_long_sum_as_a_product_passes_beside_one_that_is_hardly_off() -> None:
    """60,000 positive numbers: a library's sum adds in pairs, one by one they are 100 times as far off."""
    numbers = np.random.default_rng(1).random((60_000, 4))
    judge, single = numbers.sum(0), numbers.astype("float32")
    there, here = far(ORDERS["in pairs"](single), judge), far(running_sum(single), judge)
    limit = float32_limit(there, 0.0, far(rounded(numbers, COARSE_BITS["float32"]).sum(0), judge))
    assert here > 20 * there
    assert here <= limit.limit


def test_two_sides_in_tf32_do_not_excuse_each_other() -> None:
    a, b = operands(100)
    judge, coarse = a @ b, far(product(a, b, COARSE_BITS["float32"]), a @ b)
    # The other side is in TF32, too, and so as far away; its noise is that of float32 and does not explain it.
    limit = float32_limit(other_distance=coarse, other_noise=1e-7, coarse=coarse)
    assert limit.has_power
    assert far(product(a, b, COARSE_BITS["float32"]), judge) > limit.limit


def test_optaxs_first_update_passes_and_a_wrong_epsilon_does_not() -> None:
    """6.8e-6 where torch's is 1.8e-7, both right; Adam's epsilon 1e-7 for 1e-8 moves a small gradient by more."""
    limit = float32_limit(other_distance=1.8e-7, other_noise=0.0, coarse=None).limit
    assert limit > 6.8e-6
    gradient = 1e-4
    step, wrong = (gradient / (gradient + epsilon) for epsilon in (1e-8, 1e-7))
    assert abs(wrong - step) > limit


@pytest.mark.parametrize("inner", [5, 100, 784, 20_000])
def test_a_sum_in_another_order_passes_in_float64_and_float32_inside_does_not(inner: int) -> None:
    a, b = operands(inner)
    found = product(a, b, dtype="float64")
    assert far(product(a, b, dtype="float64", order=-1), found) <= FLOAT64_FLOOR / 10
    assert far(product(a, b, dtype="float32").astype("float64"), found) > 10 * FLOAT64_CEILING


@pytest.mark.parametrize("size", [3e-35, 3e-36])
def test_numbers_too_small_for_float32_pass_as_zero_and_a_wrong_one_above_them_does_not(size: float) -> None:
    """The second moment of a gradient that is nothing but rounding, where XLA takes what is not normal for zero."""
    moment = size * np.linspace(1e-4, 1, 64)
    kept = moment.astype("float32")
    flushed = np.where(kept < SMALLEST_NORMAL, 0, kept)
    distance, limit = far(flushed, moment), float32_limit(far(kept, moment), 0.0, None, underflow(size)).limit
    assert float32_limit(far(kept, moment), 0.0, None).limit < distance <= limit / UNDERFLOW
    assert far(0.9 * moment, moment) > 10 * limit


def test_underflow_is_nothing_beside_numbers_of_any_usual_size() -> None:
    assert float32_limit(0, 0, None, underflow(1e-20)) == float32_limit(0, 0, None)
    assert underflow(0.0) == 0
    assert not float32_limit(0, 0, 1e-3, underflow(SMALLEST_NORMAL)).has_power


def test_a_float64_limit_is_a_multiple_of_the_smaller_noise_between_floor_and_ceiling() -> None:
    assert float64_limit(0, 1) == FLOAT64_FLOOR
    assert float64_limit(1e-12, 1e-3) == FLOAT64_FACTOR * 1e-12
    assert float64_limit(1, 1) == FLOAT64_CEILING


def test_a_float32_limit_is_a_multiple_of_the_yardstick_below_the_cap() -> None:
    few = 4 * EPS["float32"]
    assert float32_limit(0, 0, None) == (FLOAT32_FACTOR * few, True)
    assert float32_limit(1e-6, 0, None) == (FLOAT32_FACTOR * 1e-6, True)
    assert float32_limit(1e-6, 2e-6, None) == (FLOAT32_FACTOR * 2e-6, True)
    assert float32_limit(1e-6, 0, 4e-5) == (CAP * 4e-5, True)
    assert float32_limit(1e-6, 0, 1e-5) == (FLOAT32_FACTOR * 1e-6, False)
    assert float32_limit(1e-4, 0, 1e-4) == (CAP * 1e-4, True)
    assert float32_limit(1e-6, 0, 1e-6) == (FLOAT32_FACTOR * 1e-6, False)
    assert float32_limit(1e-6, 1e-5, 1e-5) == (FLOAT32_FACTOR * 1e-5, False)
    assert float32_limit(1e-6, 3e-5, 4e-5) == (FLOAT32_FACTOR * 3e-5, False)
    assert not float32_limit(0, 0, few).has_power


ORDERS: dict[str, Callable[[Array], Array]] = {
    "one by one": running_sum,
    "back": lambda numbers: running_sum(numbers[::-1]),
    "shuffled": lambda numbers: running_sum(np.random.default_rng(9).permutation(numbers)),
    "in blocks of 1000": lambda numbers: running_sum(numbers.reshape(-1, 1000, numbers.shape[1]).sum(1)),
    "in pairs": lambda numbers: np.asarray(np.ascontiguousarray(numbers.T).sum(1)),
}


@pytest.mark.parametrize("theirs", ORDERS)
@pytest.mark.parametrize("ours", ORDERS)
def test_a_very_long_sum_passes_in_any_order_beside_any_other(ours: str, theirs: str) -> None:
    """60,000 numbers of both signs, as gradients are: 2e-7 to 1.3e-5 by the order alone, TF32 3e-4, bfloat16 2e-3."""
    numbers = np.random.default_rng(2).standard_normal((60_000, 4))
    judge, single = numbers.sum(0), numbers.astype("float32")
    coarse = far(rounded(numbers, COARSE_BITS["float32"]).sum(0), judge)
    limit = float32_limit(far(ORDERS[theirs](single), judge), 0.0, coarse)
    assert far(ORDERS[ours](single), judge) <= limit.limit
    assert far(ORDERS[ours](rounded(single, COARSE_BITS["float32"])), judge) > limit.limit
    assert far(ORDERS[ours](rounded(single, BFLOAT16_BITS)), judge) > 5 * limit.limit


@pytest.mark.parametrize("block", [1, 8, 128])
@pytest.mark.parametrize("inner", [100, 784])
def test_a_product_in_other_blocks_passes_in_both_dtypes(inner: int, block: int) -> None:
    a, b = operands(inner)
    judge = a @ b

    def blocked(dtype: str) -> Array:
        found = np.zeros(judge.shape, dtype)
        for start in range(0, inner, block):
            found += a[:, start : start + block].astype(dtype) @ b[start : start + block].astype(dtype)
        return found

    coarse = far(product(a, b, COARSE_BITS["float32"]), judge)
    limit = float32_limit(far(product(a, b), judge), 0.0, coarse)
    assert far(blocked("float32"), judge) <= limit.limit / 5
    assert far(blocked("float64"), judge) <= FLOAT64_FLOOR / 10


@pytest.mark.parametrize("seed", range(5))
def test_a_handful_of_roundings_passes_beside_a_side_that_made_none(seed: int) -> None:
    """Softmax, as it stands and through its logarithm; and of a loss, an example of 1000 left out is stopped."""
    logits = 3 * np.random.default_rng(seed).standard_normal((1000, 10))

    def softmax(numbers: Array) -> Array:
        return np.asarray(np.exp(numbers) / np.exp(numbers).sum(1, keepdims=True))

    def through_logarithm(numbers: Array) -> Array:
        top = numbers.max(1, keepdims=True)
        return np.asarray(np.exp(numbers - top - np.log(np.exp(numbers - top).sum(1, keepdims=True))))

    limit = float32_limit(0.0, 0.0, None).limit
    assert limit == FLOAT32_FACTOR * FEW_EPS * EPS["float32"]
    for written in (softmax, through_logarithm):
        assert far(written(logits.astype("float32")), softmax(logits)) <= limit
    losses = -np.log(softmax(logits)[:, 0])
    assert far(losses[1:].sum(), losses.sum()) > limit


def test_a_gradient_that_is_nothing_but_rounding_is_null_and_one_that_is_small_is_not() -> None:
    """The gradient of a bias before a mean is subtracted is a sum that is zero; that of a weight of 1e-6 is not."""
    cotangents = np.random.default_rng(0).standard_normal((1000, 8))
    cotangents -= cotangents.mean(0)
    gradients = {"weight": cotangents.T @ np.ones((1000, 3)) + 1.0, "bias": cotangents.sum(0)}
    assert 0 < largest(gradients["bias"]) < NULL
    gradients["small"] = 1e-6 * gradients["weight"]
    assert scales([recording(("backward", 0, gradients))]).null == {("backward", "bias")}
    for share, null in ((0.99, True), (1.01, False)):
        found = scales([recording(("backward", 0, {"a": np.ones(1), "b": np.full(1, share * NULL)}))])
        assert (("backward", "b") in found.null) is null
        assert found.of[Key("backward", 0, "b")] == pytest.approx(1.0 if null else share * NULL)


def test_the_cap_leaves_the_power_that_is_asked_for_and_a_limit_above_it_does_not() -> None:
    coarse = 1e-3
    capped, uncapped = (float32_limit(1e-4, 0.0, which).limit for which in (coarse, None))
    assert coarse / capped >= MINIMUM_POWER
    assert coarse / uncapped < MINIMUM_POWER


@pytest.mark.parametrize("inner", [5, 100, 784, 20_000])
def test_a_product_in_bfloat16_passes_and_a_wrong_one_is_far_enough(inner: int) -> None:
    a, b = operands(inner)
    judge = a @ b
    found = held(held(a, "bfloat16") @ held(b, "bfloat16"), "bfloat16")
    limit = float32_limit(0.0, 0.0, None, dtype="bfloat16").limit
    assert far(found, judge) <= limit / 4
    for wrong in (
        np.zeros_like(judge),
        -judge,
        2 * judge,
        held(held(a, "bfloat16") @ held(b[::-1], "bfloat16"), "bfloat16"),
    ):
        assert far(wrong, judge) >= MINIMUM_POWER * limit


def test_with_the_factor_of_float32_nothing_would_be_far_enough_in_bfloat16() -> None:
    floor = FEW_EPS * EPS["bfloat16"]
    assert FLOAT32_FACTOR * floor > 1
    assert BFLOAT16_FACTOR * floor == float32_limit(0.0, 0.0, None, dtype="bfloat16").limit == 0.0625
