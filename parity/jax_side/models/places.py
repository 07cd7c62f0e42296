"""Where the layers of a mapped JAX model stand on the torch side."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from parity.jax_side.layers import Place
from parity.recording import Array
from parity.weight_map.outline import Outline
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
    own = [entry for entry in weight_map.entries if entry.jax.name.rpartition(".")[0] == path]
    if not all(entry.torch.is_whole and entry.jax.is_whole for entry in own):
        return _Orders()
    kernels = [entry for entry in own if max(len(entry.torch.whole), len(entry.jax.whole)) > 1]
    if not kernels:
        vectors = [entry for entry in own if entry.jax.whole]
        orders = [_order(entry.to_torch(np.arange(entry.jax.whole[0]))[None]) for entry in vectors]
        return _Orders(*orders[:1] * 2)
    kernel, *others = kernels
    if others or not len(kernel.torch.whole) == len(kernel.jax.whole) == 2:
        return _Orders()
    rows, columns = np.indices(kernel.jax.whole)
    return _Orders(_order(kernel.to_torch(rows)), _order(kernel.to_torch(columns)))


def _order(seen: Array) -> Array | None:
    """The order in which numbers of features stand along one of two axes, whichever that is; None: in their own."""
    if not seen.size:
        return None
    features = np.arange(seen.max() + 1)
    found = next((line for line in (seen[0], seen[:, 0]) if np.array_equal(np.sort(line), features)), features)
    return None if np.array_equal(found, features) else found
