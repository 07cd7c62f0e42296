"""Dropout by masks drawn in NumPy."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from typing import Any
from unittest.mock import patch

import jax
import jax.numpy as jnp
from flax import linen, nnx

from parity.draws import mask
from parity.recording import Array


@contextmanager
def injected(stream: jax.Array | None, in_turn: Callable[[], bool] = lambda: False) -> Iterator[None]:
    """Every dropout of Flax's takes its mask from `stream` (None: as it is), in the order of the calls.

    `in_turn` says whether a call is in a turn of a loop that is only taken turn by turn to be seen.
    """
    if stream is None:
        yield
        return
    calls = count()

    def dropped(layer: nnx.Dropout | linen.Dropout, inputs: jax.Array, deterministic: bool | None) -> jax.Array:
        if deterministic or layer.rate == 0:
            return inputs
        shape = list(inputs.shape)
        for axis in layer.broadcast_dims:
            shape[axis] = 1
        kept = _mask(stream, Mask(next(calls), tuple(shape), layer.rate, in_turn()))
        return jnp.where(kept, inputs / (1 - layer.rate) if layer.rate < 1 else inputs, jnp.zeros_like(inputs))

    def dropout(layer: nnx.Dropout, inputs: jax.Array, *, deterministic: bool | None = None, rngs: Any = None) -> Any:
        return dropped(layer, inputs, layer.deterministic if deterministic is None else deterministic)

    def of_linen(function: Any, given: Any, named: Any, context: linen.module.InterceptorContext) -> Any:
        layer = context.module
        if not isinstance(layer, linen.Dropout) or context.method_name != "__call__":
            return function(*given, **named)
        inputs, deterministic = _dropout_arguments(*given, **named)
        return dropped(layer, inputs, linen.merge_param("deterministic", layer.deterministic, deterministic))

    with patch.object(nnx.Dropout, "__call__", dropout), linen.intercept_methods(of_linen):
        yield


def _dropout_arguments(inputs: jax.Array, deterministic: bool | None = None, rng: Any = None) -> tuple[Any, Any]:
    """What Linen's dropout is called with, but for the key that it would draw from."""
    return inputs, deterministic


@dataclass(frozen=True)
class Mask:
    """Draws the mask of a call, outside of the program; `in_turn`: of a call that is in a loop elsewhere."""

    call: int
    shape: tuple[int, ...]
    rate: float
    in_turn: bool = False

    def __call__(self, stream: Any) -> Array:
        """The mask from that stream."""
        return mask(stream, self.call, self.shape, self.rate)


def _mask(stream: Any, drawn: Mask) -> jax.Array:
    result = jax.ShapeDtypeStruct(drawn.shape, jnp.bool_)  # type: ignore[no-untyped-call]
    kept: jax.Array = jax.pure_callback(drawn, result, stream)
    return kept
