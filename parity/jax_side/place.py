"""Where a layer of the JAX side stands on the torch side, and what goes in and out of it in torch's layout."""

from __future__ import annotations

from math import prod
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from parity.recording import Array


class Features(NamedTuple):
    """How the features that go in or come out stand on this side, behind all other axes.

    Attributes:
        order: where each feature of the torch side's stands on this side; None: at the same place.
        axes: how long the axes are that they have here, where these are several, as heads have one of their own.
    """

    order: Array | None = None
    axes: tuple[int, ...] = ()


class Place(NamedTuple):
    """Where a module of the JAX side stands on the torch side.

    Attributes:
        name: of its torch counterpart.
        channels: whether what goes in and comes out has its channels last here, and behind the examples there.
        takes: the features that go in. Their order parts behind a convolution that is flattened.
        gives: the features that come out. Theirs parts before a convolution that unflattens them.
    """

    name: str
    channels: bool
    takes: Features = Features()
    gives: Features = Features()


def as_torch_has_it(array: jax.Array, place: Place, features: Features) -> jax.Array:
    """An activation of a layer in torch's layout, its features, which come last here, on one axis in torch's order."""
    axes = features.axes
    if axes and array.shape[-len(axes) :] == axes:
        array = array.reshape(*array.shape[: -len(axes)], prod(axes))
    return _in_front(_ordered(array, features.order), place.channels)


def as_it_comes(array: jax.Array, place: Place, features: Features) -> jax.Array:
    """The way back from `as_torch_has_it`."""
    order, axes = features
    array = _ordered(_behind(array, place.channels), None if order is None else np.argsort(order))
    return array.reshape(*array.shape[:-1], *axes) if axes and array.shape[-1:] == (prod(axes),) else array


def _ordered(array: jax.Array, order: Array | None) -> jax.Array:
    """An array with its features in another order, if it has as many: a layer may be handed other things too."""
    return array if order is None or array.shape[-1:] != order.shape else array[..., order]


def _in_front(array: jax.Array, channels: bool) -> jax.Array:
    """An activation in torch's layout: where it has `channels`, they come right behind the examples."""
    return jnp.moveaxis(array, -1, 1) if channels and array.ndim > 2 else array


def _behind(array: jax.Array, channels: bool) -> jax.Array:
    """The way back from `_in_front`."""
    return jnp.moveaxis(array, 1, -1) if channels and array.ndim > 2 else array
