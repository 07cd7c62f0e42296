"""Where the layers of a mapped JAX model stand on the torch side."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from parity.jax_side.place import Place
from parity.recording import Array
from parity.weight_map.entry import Entry, Part
from parity.weight_map.outline import Outline
from parity.weight_map.stacked import in_stack
from parity.weight_map.steps import back
from parity.weight_map.weight_map import WeightMap


def places_of(weight_map: WeightMap) -> dict[str, Place]:
    """The layers to be watched, by their paths on the JAX side."""
    return {
        path: Place(layer.torch, layer.channels, *_orders(weight_map, path))
        for path, layer in weight_map.layers.items()
        if path and layer.torch
    }


def unmatched(torch: Outline, places: dict[str, Place]) -> frozenset[str]:
    """Layers of the torch side that own arrays, and that none of the places stands for."""
    owners = {module.name for module in torch.modules if (module.parameters or module.buffers) and module.name}
    return frozenset(owners - {place.name for place in places.values()})


def apart(weight_map: WeightMap) -> frozenset[str]:
    """Arrays that the torch side holds and the JAX side does not."""
    return frozenset((*weight_map.apart.torch, *weight_map.apart.zero))


class _Orders(NamedTuple):
    """Where each feature that torch hands to a layer, or gets from it, stands on this side; None: at the same place."""

    inputs: Array | None = None
    outputs: Array | None = None


def _orders(weight_map: WeightMap, path: str) -> _Orders:
    """Both orders of a layer, as its arrays tell them: one with a kernel by that, a norm by its vectors."""
    own = [entry for entry in weight_map.entries if holder(entry.jax) == path]
    if any(part.axis is not None for entry in own for part in (entry.torch, entry.jax)):
        return _Orders()
    kernels = [entry for entry in own if max(len(entry.torch.one), len(entry.jax.one)) > 1]
    if not kernels:
        vectors = [entry for entry in own if entry.jax.one]
        orders = [_order(_seen(entry, np.arange(entry.jax.one[0]))[None]) for entry in vectors]
        return _Orders(*orders[:1] * 2)
    kernel, *others = kernels
    if others or not len(kernel.torch.one) == len(kernel.jax.one) == 2:
        return _Orders()
    rows, columns = np.indices(kernel.jax.one)
    return _Orders(_order(_seen(kernel, rows)), _order(_seen(kernel, columns)))


def holder(part: Part) -> str:
    """The layer that an array of the JAX side is in, as a map calls it."""
    path = part.name.rpartition(".")[0]
    return in_stack(path, part.indices) if part.at else path


def _seen(entry: Entry, numbers: Array) -> Array:
    """Where torch has what this side has there."""
    return back(entry.steps, numbers, entry.torch.one)


def _order(seen: Array) -> Array | None:
    """The order in which numbers of features stand along one of two axes, whichever that is; None: in their own."""
    if not seen.size:
        return None
    features = np.arange(seen.max() + 1)
    found = next((line for line in (seen[0], seen[:, 0]) if np.array_equal(np.sort(line), features)), features)
    return None if np.array_equal(found, features) else found
