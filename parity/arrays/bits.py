"""Whether two arrays are the same to the bit."""

from __future__ import annotations

import numpy as np

from parity.recording import Array


def same_bits(one: Array, other: Array) -> bool:
    """Whether two arrays are the same to the bit, of a floating zero its sign too, and of a NaN which one it is."""
    return (one.dtype, one.shape) == (other.dtype, other.shape) and np.array_equal(_bytes(one), _bytes(other))


def _bytes(array: Array) -> Array:
    """The bytes of an array in the order of its entries, without a copy where they lie so."""
    return np.ascontiguousarray(array).reshape(-1).view(np.uint8)
