"""Arrays in fewer mantissa bits, and arrays moved by units in the last place."""

from __future__ import annotations

import numpy as np

from parity.recording import Array, Arrays, Batch

TF32_BITS = 10
"""Mantissa bits of TF32, the precision below float32 (NVIDIA A100 whitepaper, 2020)."""
BFLOAT16_BITS = 7
"""Mantissa bits of bfloat16 (the same)."""
FLOAT32_BITS = 23
"""Mantissa bits of float32, the precision below float64 (IEEE 754)."""
COARSE_BITS = {"float64": FLOAT32_BITS, "float32": TF32_BITS}
"""Mantissa bits of the next lower precision of each dtype."""
MANTISSA = {"float64": 52, "float32": 23}
BEYOND_BFLOAT16 = 16
"""Bits that a float32 has beyond a bfloat16, whose numbers are float32 with zeros there."""


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
    with np.errstate(over="ignore", invalid="ignore"):
        scaled = array * np.asarray(splitter(array.dtype.name, bits), array.dtype)
        found = np.asarray(scaled - (scaled - array))
    # What is infinite, or becomes so on the way, stays as it is.
    return found if np.isfinite(found).all() else np.where(np.isfinite(found), found, array)


def rounded_all(arrays: Arrays, bits: int | None) -> Arrays:
    """Each array of a dictionary, rounded as by `rounded`."""
    return {name: rounded(array, bits) for name, array in arrays.items()}


def cast(arrays: Batch, dtype: str) -> Batch:
    """Floating arrays in `dtype`, the others as they are."""
    return {name: held(array, dtype) if array.dtype.kind == "f" else array for name, array in arrays.items()}


def held(array: Array, dtype: str) -> Array:
    """A floating array as `dtype` holds it; bfloat16's numbers in float32, to nearest, ties to even."""
    if dtype != "bfloat16":
        return array.astype(dtype, copy=False)
    bits = np.ascontiguousarray(array, np.float32).view(np.uint32).reshape(array.shape)
    half = (bits >> BEYOND_BFLOAT16 & 1) + (1 << BEYOND_BFLOAT16 - 1) - 1
    kept = (bits + half.astype(np.uint32)) >> BEYOND_BFLOAT16 << BEYOND_BFLOAT16
    # The bits of a NaN are no number that could be rounded.
    return np.where(np.isnan(array), np.float32(np.nan), kept.view(np.float32))


def holds_bfloat16(array: Array) -> bool:
    """Whether each number of a float32 array is one of bfloat16's, or none at all."""
    return not (array.view(np.uint32)[~np.isnan(array)] & ((1 << BEYOND_BFLOAT16) - 1)).any()


def moved(parameters: Arrays, ulps: int, seed: int, dtype: str = "") -> Arrays:
    """Every entry moved up or down by `ulps` units in the last place, as drawn from `seed`; 0 moves nothing.

    Whole numbers, and true and false, have no such unit and stay.

    Units are those of the arrays themselves, or bfloat16's where that is the `dtype`.
    """
    generator = np.random.default_rng([seed, ulps])
    wider = 1 << BEYOND_BFLOAT16 if dtype == "bfloat16" else 1
    result = {}
    for name, array in parameters.items():
        down = generator.random(array.shape) < 0.5
        if array.dtype.kind != "f":
            result[name] = array
            continue
        direction = np.where(down, -1, 1).astype(array.dtype)
        aside = array + ulps * wider * direction * np.spacing(np.abs(array))
        result[name] = np.asarray(aside, array.dtype)
    return result
