"""Numbers that depend on the count of steps, as near to torch's as the dtype of the run allows.

torch makes them in Python, in float64, whatever the dtype of the parameters. Here they are made in float64 where 64-bit
JAX is on. Where it is off, a power of a number that float32 has rounded would be off by the count times that rounding
(`1 - 0.999**1` by 1.3e-5), so that powers are made from what Python knows of the number.
"""

from __future__ import annotations

import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

COUNT_BITS = 31
"""Of the int32 that counts steps."""


def wide() -> Any:
    """The widest floating dtype that is on."""
    return jnp.result_type(float)


def number(value: Any) -> jax.Array:
    """A single number in the widest dtype."""
    return jnp.asarray(value, wide())


def power(base: float, count: jax.Array) -> jax.Array:
    """`base**count` for a whole count of at least 0."""
    if wide() == np.float64:
        return number(base) ** number(count)
    with np.errstate(over="ignore", under="ignore"):
        squares = (np.float64(base) ** (2.0 ** np.arange(COUNT_BITS))).astype(np.float32)
    bits = (count >> np.arange(COUNT_BITS)) & 1
    # A number beyond the range of float32 stands in no product that it is not asked for.
    return jnp.prod(jnp.where(bits == 1, squares, np.float32(1)))


def one_minus_power(base: Any, count: jax.Array) -> jax.Array:
    """`1 - base**count` for a base from 0 to 1, a number of Python's or one that depends on the count itself."""
    if wide() == np.float64:
        return 1 - number(base) ** number(count)
    known = isinstance(base, float)
    logarithm = number(math.log(base) if base > 0 else -math.inf) if known else jnp.log(base)
    return -jnp.expm1(number(count) * logarithm)
