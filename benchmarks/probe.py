"""Which precision products really have: a product that only factors with enough mantissa bits come out of unharmed."""

from __future__ import annotations

import numpy as np

from parity.recording import Array

MANTISSA_BITS = {"float32": 23, "tf32": 10}
"""Mantissa bits that a factor keeps. Sources: IEEE 754; NVIDIA A100 whitepaper, 2020."""


def factors(rows: int, inner: int, columns: int) -> tuple[Array, Array]:
    """Two float32 matrices, (rows, inner) and (inner, columns), of the shape of a problem's largest product.

    Row k of the first has 1 + 2**-k in one place, k from 1 to 23 over and over, and zeros elsewhere. The second is 1
    throughout, so that the exact product is 1 + 2**-k in all of row k, whatever the order of the sum.
    """
    row = np.arange(rows)
    first = np.zeros((rows, inner), np.float32)
    first[row, row % inner] = 1 + 2.0 ** -_bit(row)
    return first, np.ones((inner, columns), np.float32)


def bits_kept(product: Array) -> int:
    """How many mantissa bits the factors kept on their way into the product of `factors`: 23 in float32, 10 in TF32."""
    row = np.arange(len(product))
    right = np.all(product == (1 + 2.0 ** -_bit(row)).astype(np.float32)[:, None], axis=1)
    lost = _bit(row)[~right]
    return int(lost.min() - 1) if lost.size else int(min(len(product), MANTISSA_BITS["float32"]))


def _bit(row: Array) -> Array:
    return np.asarray(row % MANTISSA_BITS["float32"] + 1, float)
