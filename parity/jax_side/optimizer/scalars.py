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
NEAR = 0.5
"""Up to which four terms of a series are good to 1e-8."""
SHRINKS = 0.96
"""The share that NAdam's momentum falls short of the full one by: each step multiplies it by this to the power of the
momentum decay."""
TRUSTED = 5.0
"""The length from which RAdam uses its average, as in torch."""


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


def halved(decay: float, count: jax.Array) -> jax.Array:
    """Which share of the full momentum NAdam leaves out in the step that is the `count`-th: half of it at first."""
    if wide() == np.float64:
        return 0.5 * number(SHRINKS) ** (number(count) * decay)
    return 0.5 * jnp.exp(number(count) * (decay * math.log(SHRINKS)))


def rectified(beta2: float, count: jax.Array) -> jax.Array:
    """RAdam's factor of the step that is the `count`-th, 0 while the average is too short for one.

    Source: L. Liu et al., On the Variance of the Adaptive Learning Rate and Beyond, ICLR 2020.
    """
    longest = 2 / (1 - beta2) - 1
    length = _length(beta2, longest, count)
    square = (length - 4) * (length - 2) * longest / ((longest - 4) * (longest - 2) * length)
    return jnp.sqrt(jnp.where(length > TRUSTED, square, 0.0))


def _length(beta2: float, longest: float, count: jax.Array) -> jax.Array:
    """How many steps the average is over: `longest - 2 t b^t / (1 - b^t)`."""
    steps = number(count)
    if wide() == np.float64 or beta2 == 0:
        return longest - 2 * steps * number(beta2) ** steps / one_minus_power(beta2, count)
    # In float32 nearly nothing is left of that difference while the count is small. With y = -t ln b it is
    # longest - 2 / -ln b, which Python knows, and 2 / -ln b times 1 - y / (e^y - 1), which is near y / 2 at first.
    rate = -math.log(beta2)
    y = steps * number(rate)
    near = y / 2 - y**2 / 12 + y**4 / 720 - y**6 / 30240
    far = 1 - y / jnp.expm1(jnp.maximum(y, NEAR))
    return (longest - 2 / rate) + 2 / rate * jnp.where(y < NEAR, near, far)
