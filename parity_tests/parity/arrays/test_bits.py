"""Two arrays are the same to the bit, or not."""

from __future__ import annotations

import numpy as np

from parity.arrays.bits import same_bits


def test_bits_are_the_same_where_values_dtypes_shapes_and_the_signs_of_zeros_are() -> None:
    array = np.array([[0.0, 1.5], [-2.0, np.nan]])
    assert same_bits(array, array.copy())
    assert same_bits(array.T, array.T.copy())
    for other in (np.array(True), np.zeros((0, 3)), np.array([1 + 2j])):
        assert same_bits(other, other.copy())
    signed, moved = array.copy(), array.copy()
    signed[0, 0], moved[0, 1] = -0.0, np.nextafter(1.5, 2)
    for other in (signed, moved, array.reshape(4), array.astype(np.float32), array.view(np.int64)):
        assert not same_bits(other, array)
