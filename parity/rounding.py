"""Arrays in fewer mantissa bits, and arrays moved by units in the last place."""

from __future__ import annotations

import numpy as np

from parity.recording import Array, Arrays, Batch

TF32_BITS = 10
"""Mantissa bits of TF32, the precision below float32 (NVIDIA A100 whitepaper, 2020)."""
FLOAT32_BITS = 23
"""Mantissa bits of float32, the precision below float64 (IEEE 754)."""
COARSE_BITS = {"float64": FLOAT32_BITS, "float32": TF32_BITS}
"""Mantissa bits of the next lower precision of each dtype."""
MANTISSA = {"float64": 52, "float32": 23}


def splitter(dtype: str, bits: int) -> float:
    """The constant by which Veltkamp's splitting rounds a number of `dtype` to `bits` mantissa bits.

    With `c = splitter * x`, the rounded number is `c - (c - x)`. Source: T. J. Dekker, A floating-point technique for
    extending the available precision, Numerische Mathematik 18 (1971).
    """
    return float(2 ** (MANTISSA[dtype] - bits) + 1)


def rounded(array: Array, bits: int | None) -> Array:
    """`array` to `bits` mantissa bits, to nearest; whole numbers, and everything for None, come back as they are."""
    if bits is None or array.dtype.kind != "f":
        return array
    scaled = array * np.asarray(splitter(array.dtype.name, bits), array.dtype)
    return np.asarray(scaled - (scaled - array))


def rounded_all(arrays: Arrays, bits: int | None) -> Arrays:
    """Each array of a dictionary, rounded as by `rounded`."""
    return {name: rounded(array, bits) for name, array in arrays.items()}


def cast(arrays: Batch, dtype: str) -> Batch:
    """Floating arrays in `dtype`, the others as they are."""
    return {
        name: array.astype(dtype, copy=False) if array.dtype.kind == "f" else array for name, array in arrays.items()
    }


def moved(parameters: Arrays, ulps: int, seed: int) -> Arrays:
    """Every entry moved up or down by `ulps` units in the last place, as drawn from `seed`; 0 moves nothing."""
    generator = np.random.default_rng([seed, ulps])
    result = {}
    for name, array in parameters.items():
        direction = np.where(generator.random(array.shape) < 0.5, -1, 1).astype(array.dtype)
        result[name] = np.asarray(array + ulps * direction * np.spacing(np.abs(array)), array.dtype)
    return result
