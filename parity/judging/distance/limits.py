"""The largest difference that still counts as agreement, derived from what is measured in the run."""

from __future__ import annotations

from typing import NamedTuple

from parity.judging.distance.factors import (
    BFLOAT16_FACTOR,
    CAP,
    FEW_EPS,
    FLOAT32_FACTOR,
    FLOAT64_CEILING,
    FLOAT64_FACTOR,
    FLOAT64_FLOOR,
    LOW_CAP,
    UNDERFLOW,
)
from parity.recording import PLACE, Dtype, Key
from parity.verdict import EPS

SMALLEST_NORMAL = 2.0**-126
"""Of float32, and of bfloat16, which has as many bits for the exponent. Source: IEEE 754-2019, binary32."""
LOWER_FACTORS: dict[Dtype, float] = {"float32": FLOAT32_FACTOR, "bfloat16": BFLOAT16_FACTOR}


class Float32Limit(NamedTuple):
    """A float32 limit, and whether lower precision would exceed it."""

    limit: float
    has_power: bool


def float64_limit(torch_noise: float, jax_noise: float) -> float:
    """The limit of a float64 difference. Both noises are differences, 0 or more."""
    return min(max(FLOAT64_FACTOR * min(torch_noise, jax_noise), FLOAT64_FLOOR), FLOAT64_CEILING)


def capped(key: Key) -> bool:
    """Whether the cap applies: to activations and gradients of the observed steps, where lower precision shows.

    Not to what goes into a layer: it shows in what came out of the one before, and the first has the batch, which the
    emulation of lower precision rounds and the hardware does not.
    A loss, a score or an updated parameter may move by anything, even by nothing, when precision is lowered, so that a
    cap taken from it would be chance.
    """
    if key.stage == "forward":
        place = PLACE.match(key.tensor)
        return place is None or place["what"] != "input"
    return key.stage == "backward"


def float32_limit(
    other_distance: float, other_noise: float, coarse: float | None, lost: float = 0.0, dtype: Dtype = "float32"
) -> Float32Limit:
    """The limit of a side's float32 distance, or of its bfloat16 distance, which has a factor of its own.

    The cap has no power where the other side's noise, or what an ordinary float32 sum or underflow may lose, exceed it.
    The other side's distance is no reason: two sides in TF32 are both far away.

    Args:
        other_distance: the other side's distance from the judge.
        other_noise: the other side's noise; 0 where it was not drawn.
        coarse: the coarse distance; None where the cap does not apply.
        lost: what underflow may do, as `underflow` tells it.
        dtype: which of the two.
    """
    limit = max(LOWER_FACTORS[dtype] * max(other_distance, other_noise, FEW_EPS * EPS[dtype]), lost)
    if coarse is None:
        return Float32Limit(limit, True)
    cap = CAP * coarse
    if cap < max(other_noise, LOW_CAP * EPS["float32"], lost):
        return Float32Limit(limit, False)
    return Float32Limit(min(limit, cap), True)


def narrowest(dtype: Dtype) -> float:
    """The smallest limit that there is in float32 or bfloat16: where neither side shows more than a few eps."""
    return LOWER_FACTORS[dtype] * FEW_EPS * EPS[dtype]


def underflow(scale: float) -> float:
    """How far from the judge float32 may be because numbers below its smallest normal one are taken for zero."""
    return UNDERFLOW * SMALLEST_NORMAL / scale if scale > 0 else 0.0
