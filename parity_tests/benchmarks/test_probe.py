"""The probe product tells how many mantissa bits the factors of a product kept."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.probe import bits_kept, factors
from parity.arrays.rounding import rounded

SHAPES = [(1000, 784, 100), (60, 784, 25), (100, 5, 5), (10, 784, 100)]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("bits", [23, 16, 10, 7])
def test_as_many_bits_as_the_factors_keep(shape: tuple[int, int, int], bits: int) -> None:
    assert bits_kept(lambda first, second: rounded(first, bits) @ rounded(second, bits), *shape) == bits


def test_the_exact_product_is_the_same_in_all_columns() -> None:
    first, second = factors(46, 10, 3)
    product = first.astype(float) @ second
    assert np.array_equal(product[:, :1].repeat(3, 1), product)
    assert sorted(set(product[:, 0])) == sorted(1 + 2.0**-k for k in range(1, 24))


def test_a_batch_smaller_than_the_mantissa_takes_several_products() -> None:
    bits = [np.unique(factors(10, 784, 3, begin)[0]).tolist() for begin in (0, 10, 20)]
    assert {number for found in bits for number in found} - {0} == {1 + 2.0**-k for k in range(1, 24)}
