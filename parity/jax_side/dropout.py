"""Dropout by masks drawn in NumPy, and whether a model drew anything of its own."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from typing import Any
from unittest.mock import patch

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from parity.draws import mask
from parity.recording import Array


class Drawn:
    """Whether a stream of random numbers of Flax's was asked for one while it was watched."""

    def __init__(self) -> None:
        self.own = False


@contextmanager
def injected(stream: jax.Array | None) -> Iterator[Drawn]:
    """Every dropout takes its mask from `stream` (None: as it is), in the order of the calls.

    What else asks a stream of Flax's for a number is told by `Drawn.own`.
    """
    drawn, calls = Drawn(), count()
    next_of_stream = nnx.RngStream.__call__

    def dropout(layer: nnx.Dropout, inputs: jax.Array, *, deterministic: bool | None = None, rngs: Any = None) -> Any:
        off = layer.deterministic if deterministic is None else deterministic
        if off or layer.rate == 0:
            return inputs
        shape = [1 if axis in layer.broadcast_dims else size for axis, size in enumerate(inputs.shape)]
        kept = _mask(stream, next(calls), tuple(shape), layer.rate)
        return jnp.where(kept, inputs / (1 - layer.rate) if layer.rate < 1 else inputs, jnp.zeros_like(inputs))

    def next_of_own(source: nnx.RngStream, *given: Any, **named: Any) -> Any:
        drawn.own = True
        return next_of_stream(source, *given, **named)

    with (
        patch.object(nnx.Dropout, "__call__", nnx.Dropout.__call__ if stream is None else dropout),
        patch.object(nnx.RngStream, "__call__", next_of_own),
    ):
        yield drawn


def _mask(stream: Any, call: int, shape: tuple[int, ...], rate: float) -> jax.Array:
    """The mask of a call. Flax has the channels of images last, torch behind the examples, where they are drawn."""
    images = len(shape) > 3
    drawn_as = (shape[0], shape[-1], *shape[1:-1]) if images else shape

    def draw(stream: Any) -> Array:
        found = mask(stream, call, drawn_as, rate)
        return np.moveaxis(found, 1, -1) if images else found

    result = jax.ShapeDtypeStruct(shape, jnp.bool_)  # type: ignore[no-untyped-call]
    kept: jax.Array = jax.pure_callback(draw, result, stream)
    return kept
