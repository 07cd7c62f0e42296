"""A layer of torch beside its counterpart, and what goes into both."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import numpy as np
from flax import nnx
from torch import nn

Array = np.ndarray[Any, Any]
Draw = Callable[[np.random.Generator, int, int], tuple[Array, ...]]
"""(numbers, batch size, size of an axis) -> inputs in torch's layout."""


class LayerCase(NamedTuple):
    """A layer and its counterpart, both with parameters to be replaced by drawn ones.

    `draw` gives the inputs of both, for a batch size and for a size that its axes have or nearly have. Floating inputs
    of more than two axes have their channels on axis 1, and on the JAX side behind, where `channels_last`. `missing` is
    what Flax, JAX or Optax lack or have otherwise. `float32_inside`: a side computes something in float32 whatever
    its dtype.
    """

    name: str
    torch: Callable[[], nn.Module]
    jax: Callable[[nnx.Rngs], nnx.Module]
    draw: Draw
    channels_last: bool = False
    missing: str = ""
    float32_inside: bool = False


class Function(nnx.Module):
    """A function as a module, as torch has its activations and losses."""

    def __init__(self, function: Callable[..., jax.Array]) -> None:
        self.function = function

    def __call__(self, *inputs: jax.Array) -> jax.Array:
        return self.function(*inputs)


def function(of: Callable[..., jax.Array]) -> Callable[[nnx.Rngs], nnx.Module]:
    """What makes a module of a function."""
    return lambda rngs: Function(of)


def features(count: int) -> Draw:
    """Normal numbers (batch, count)."""
    return lambda numbers, batch, size: (numbers.standard_normal((batch, count)),)


def channels(count: int, axes: int) -> Draw:
    """Normal numbers (batch, count, size, size - 1, ...) around 1: where an axis is odd, the next is even."""
    return lambda numbers, batch, size: (1 + numbers.standard_normal((batch, count, *range(size, size - axes, -1))),)


def sequence(count: int) -> Draw:
    """Normal numbers (batch, size, count)."""
    return lambda numbers, batch, size: (numbers.standard_normal((batch, size, count)),)


def tokens(count: int) -> Draw:
    """Whole numbers below count (batch, size)."""
    return lambda numbers, batch, size: (numbers.integers(0, count, (batch, size)),)
