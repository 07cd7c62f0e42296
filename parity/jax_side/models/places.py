"""Where the layers of a mapped JAX model stand on the torch side."""

from __future__ import annotations

import numpy as np

from parity.jax_side.layers import Place
from parity.recording import Array
from parity.weight_map.outline import Outline
from parity.weight_map.weight_map import WeightMap


def places_of(weight_map: WeightMap) -> dict[str, Place]:
    """The layers to be watched, by their paths on the JAX side."""
    return {
        path: Place(layer.torch, layer.channels, _order_of_inputs(weight_map, path))
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


def _order_of_inputs(weight_map: WeightMap, path: str) -> Array | None:
    """Where each feature that torch hands to a linear layer stands in what is handed to its twin, if not in order."""
    for entry in weight_map.entries:
        whole = entry.torch.axis is None and entry.jax.axis is None
        if whole and entry.jax.name == f"{path}.kernel" and len(entry.torch.whole) == len(entry.jax.whole) == 2:
            features, outputs = entry.jax.whole
            rows = np.repeat(np.arange(features)[:, None], outputs, axis=1)
            seen = entry.to_torch(rows)
            # Inputs stand in the columns of torch's kernel, and in the rows of one that is (in, out) there too.
            order = seen[0] if np.array_equal(seen, np.broadcast_to(seen[0], seen.shape)) else seen[:, 0]
            return None if np.array_equal(order, np.arange(features)) else order
    return None
