"""What an optimizer remembers of a parameter in a shape of its own, as Adafactor does: rows and columns, or nothing.

No weight map says how it is laid out. It is called after the parameter, and its numbers stand as they are.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from parity.jax_side.leaves import to_numpy
from parity.recording import Arrays


def fitted(node: Any, model: Any) -> Any:
    """A tree that is built as the model, with zeros in the parameter's shape where it has another."""
    return jax.tree.map(lambda own, like: own if own.shape == like.shape else _zeros(like), node, model)


def kept_apart(node: Any, model: Any, arrays_of: Callable[[Any], Arrays]) -> Arrays:
    """The arrays of another shape than their parameter's, by its name."""
    leaves = jax.tree.leaves(node)
    return {name: to_numpy(leaves[place]) for place, name in _names(node, model, arrays_of).items()}


def put_back(filled: Any, node: Any, model: Any, arrays: Arrays, arrays_of: Callable[[Any], Arrays]) -> Any:
    """The tree `filled` with those of the arrays that `node` has in a shape of its own; as `node` has it elsewhere."""
    leaves, own = jax.tree.leaves(filled), jax.tree.leaves(node)
    for place, name in _names(node, model, arrays_of).items():
        given = arrays.get(name)
        fits = given is not None and given.shape == own[place].shape
        leaves[place] = jnp.asarray(given, own[place].dtype) if fits else own[place]
    return jax.tree.unflatten(jax.tree.structure(filled), leaves)


def _names(node: Any, model: Any, arrays_of: Callable[[Any], Arrays]) -> Mapping[int, str]:
    """For each leaf of another shape its place and the parameter; of a leaf that holds several, the first of them."""
    leaves = jax.tree.leaves(model)
    places = [place for place, own in enumerate(jax.tree.leaves(node)) if own.shape != leaves[place].shape]
    if not places:
        return {}
    # In float32, which holds every whole number that there may be leaves.
    marked = [jax.device_put(np.full(like.shape, place, np.float32)) for place, like in enumerate(leaves)]
    arrays = arrays_of(jax.tree.unflatten(jax.tree.structure(model), marked))
    return {place: min(name for name, array in arrays.items() if (array == place).any()) for place in places}


def _zeros(like: Any) -> jax.Array:
    made: jax.Array = jax.device_put(np.zeros(like.shape, like.dtype))
    return made
