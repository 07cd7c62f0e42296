"""Where the layers of a mapped JAX model stand on the torch side."""

from __future__ import annotations

from math import prod

import numpy as np

from parity.jax_side.place import Features, Place
from parity.recording import Array
from parity.weight_map.entry import Entry, Part
from parity.weight_map.outline import Outline
from parity.weight_map.stacked import in_stack
from parity.weight_map.steps import TRANSPOSE, Step, back
from parity.weight_map.weight_map import WeightMap


def places_of(weight_map: WeightMap) -> dict[str, Place]:
    """The layers to be watched, by their paths on the JAX side."""
    return {
        path: Place(layer.torch, layer.channels, *_features(weight_map, path))
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


def _features(weight_map: WeightMap, path: str) -> tuple[Features, Features]:
    """What goes into a layer and comes out, as its arrays tell it: one with a kernel by that, a norm by its vectors."""
    own = [entry for entry in weight_map.entries if _holder(entry.jax) == path]
    if any(part.axis is not None for entry in own for part in (entry.torch, entry.jax)):
        return Features(), Features()
    kernels = [entry for entry in own if max(len(entry.torch.one), len(entry.jax.one)) > 1]
    # A bias has as many axes as the features.
    kernels = [entry for entry in kernels if len(entry.torch.one) > 1] or kernels
    if not kernels:
        vectors = [entry for entry in own if entry.jax.one]
        orders = [_order(_seen(entry, np.arange(entry.jax.one[0]))[None]) for entry in vectors]
        both = Features(orders[0] if orders else None)
        return both, both
    kernel, *others = kernels
    if others or len(kernel.torch.one) != 2:
        return Features(), Features()
    if len(kernel.jax.one) > 2:
        return _axes(kernel)
    rows, columns = np.indices(kernel.jax.one)
    return Features(_order(_seen(kernel, rows))), Features(_order(_seen(kernel, columns)))


def _axes(kernel: Entry) -> tuple[Features, Features]:
    """The axes of features where a kernel has several, its inputs first: torch's are the outputs of a weight."""
    (outputs, inputs), shape = kernel.torch.one, kernel.jax.one
    if kernel.steps != (TRANSPOSE, Step("reshape", shape)):
        return Features(), Features()
    cut = next(cut for cut in range(1, len(shape)) if prod(shape[:cut]) == inputs and prod(shape[cut:]) == outputs)
    # An axis of one is that of a window.
    takes, gives = (axes if len(axes) > 1 and min(axes) > 1 else () for axes in (shape[:cut], shape[cut:]))
    return Features(None, takes), Features(None, gives)


def _holder(part: Part) -> str:
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
