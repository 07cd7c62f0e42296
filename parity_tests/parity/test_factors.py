"""Both sides of every stated factor: what must pass does, and what must not is stopped."""

from __future__ import annotations

import numpy as np
import pytest

from parity.difference import difference, largest
from parity.factors import CAP, FLOAT32_FACTOR, FLOAT64_CEILING, FLOAT64_FACTOR, FLOAT64_FLOOR, LOW_CAP
from parity.limits import float32_limit, float64_limit
from parity.recording import Array
from parity.rounding import COARSE_BITS, rounded
from parity.verdict import EPS

BFLOAT16_BITS = 7


def operands(inner: int, seed: int = 0) -> tuple[Array, Array]:
    numbers = np.random.default_rng(seed)
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


def test_a_float64_limit_is_a_multiple_of_the_smaller_noise_between_floor_and_ceiling() -> None:
    assert float64_limit(0, 1) == FLOAT64_FLOOR
    assert float64_limit(1e-12, 1e-3) == FLOAT64_FACTOR * 1e-12
    assert float64_limit(1, 1) == FLOAT64_CEILING


def test_a_float32_limit_is_a_multiple_of_the_yardstick_below_the_cap() -> None:
    few = 4 * EPS["float32"]
    assert float32_limit(0, 0, None) == (FLOAT32_FACTOR * few, True)
    assert float32_limit(1e-6, 0, None) == (FLOAT32_FACTOR * 1e-6, True)
    assert float32_limit(1e-6, 2e-6, None) == (FLOAT32_FACTOR * 2e-6, True)
    assert float32_limit(1e-6, 0, 1e-5) == (CAP * 1e-5, True)
    assert float32_limit(1e-4, 0, 1e-4) == (CAP * 1e-4, True)
    assert float32_limit(1e-6, 0, 1e-6) == (FLOAT32_FACTOR * 1e-6, False)
    assert float32_limit(1e-6, 1e-5, 1e-5) == (FLOAT32_FACTOR * 1e-5, False)
    assert not float32_limit(0, 0, few).has_power
