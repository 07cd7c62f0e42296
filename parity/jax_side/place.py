"""Where a layer of the JAX side stands on the torch side, and what goes in and out of it in torch's layout."""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from parity.recording import Array


class Place(NamedTuple):
    """Where a module of the JAX side stands on the torch side.

    Attributes:
        name: of its torch counterpart.
        channels: whether what goes in and comes out has its channels last here, and behind the examples there.
        order: where each feature that goes in on the torch side stands on this side; None: at the same place. They
            part behind a convolution that is flattened.
        gives: the same of the features that come out. They part before a convolution that unflattens them.
    """

    name: str
    channels: bool
    order: Array | None = None
    gives: Array | None = None


def as_torch_has_it(array: jax.Array, place: Place, order: Array | None) -> jax.Array:
    """An activation of a layer in torch's layout, its features, which come last here, in torch's order."""
    return _in_front(_ordered(array, order), place.channels)


def as_it_comes(array: jax.Array, place: Place, order: Array | None) -> jax.Array:
    """The way back from `as_torch_has_it`."""
    return _ordered(_behind(array, place.channels), None if order is None else np.argsort(order))


def _ordered(array: jax.Array, order: Array | None) -> jax.Array:
    """An array with its features in another order, if it has as many: a layer may be handed other things too."""
    return array if order is None or array.shape[-1:] != order.shape else array[..., order]


def _in_front(array: jax.Array, channels: bool) -> jax.Array:
    """An activation in torch's layout: where it has `channels`, they come right behind the examples."""
    return jnp.moveaxis(array, -1, 1) if channels and array.ndim > 2 else array


def _behind(array: jax.Array, channels: bool) -> jax.Array:
    """The way back from `_in_front`."""
    return jnp.moveaxis(array, 1, -1) if channels and array.ndim > 2 else array
