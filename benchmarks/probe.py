"""Which precision products really have: a product that only factors with enough mantissa bits come out of unharmed."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from parity.arrays.rounding import BFLOAT16_BITS, TF32_BITS
from parity.recording import Array

MANTISSA_BITS = {"float32": 23, "tf32": TF32_BITS, "bfloat16": BFLOAT16_BITS}
"""Mantissa bits that a factor keeps. Sources: IEEE 754; NVIDIA A100 whitepaper, 2020, which has both others."""


def bits_kept(multiply: Callable[[Array, Array], Array], rows: int, inner: int, columns: int) -> int:
    """How many mantissa bits the factors of a product of these sizes keep, as in `MANTISSA_BITS`.

    Args:
        multiply: the product of two float32 matrices, in float32.
        rows: of the first factor. Where they are too few for all bits, there are several products.
        inner: its columns, and the second factor's rows.
        columns: of the second factor.
    """
    lost = []
    for begin in range(0, MANTISSA_BITS["float32"], rows):
        product = multiply(*factors(rows, inner, columns, begin))
        bits = _bits(rows, begin)
        right = np.all(product == (1 + 2.0**-bits).astype(np.float32)[:, None], axis=1)
        lost += bits[~right].tolist()
    return int(min(lost, default=MANTISSA_BITS["float32"] + 1) - 1)


def factors(rows: int, inner: int, columns: int, begin: int = 0) -> tuple[Array, Array]:
    """Two float32 matrices, (rows, inner) and (inner, columns), of the shape of a problem's largest product.

    Row k of the first has 1 + 2**-k in one place, k from `begin` + 1 to 23 over and over, and zeros elsewhere. The
    second is 1 throughout, so that the exact product is 1 + 2**-k in all of row k, whatever the order of the sum.
    """
    row = np.arange(rows)
    first = np.zeros((rows, inner), np.float32)
    first[row, row % inner] = 1 + 2.0 ** -_bits(rows, begin)
    return first, np.ones((inner, columns), np.float32)


def _bits(rows: int, begin: int) -> Array:
    return np.asarray((np.arange(rows) + begin) % MANTISSA_BITS["float32"] + 1, float)
