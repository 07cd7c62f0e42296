"""A weight map that was saved, and perhaps corrected, instead of one that is found: does it fit the two models?"""

from __future__ import annotations

from collections.abc import Callable, Container

from parity.errors import NotCheckable
from parity.weight_map.entry import Entry, Part
from parity.weight_map.outline import Outline
from parity.weight_map.weight_map import Apart, WeightMap


def fitting(weights: WeightMap, torch: Outline, jax: Outline) -> WeightMap:
    """The map itself, which has every array of both models, each under its shape, and no other.

    Raises:
        NotCheckable: it is the map of other models; all that does not fit is named.
    """
    faults = [*_faults(weights, torch, lambda entry: entry.torch), *_faults(weights, jax, lambda entry: entry.jax)]
    if faults:
        raise NotCheckable(
            f"the weight map that the pair gives does not fit its models: {'; '.join(faults)}: correct it, or leave it "
            "out, and the map is found"
        )
    return weights


def uncovered(outline: Outline, mapped: Container[str], apart: Apart) -> list[str]:
    """The arrays of a model that are neither mapped nor stand apart."""
    known = {*outline.tied, *apart.torch, *apart.jax, *apart.zero}
    return [name for name, _ in outline.arrays() if name not in mapped and name not in known]


def _faults(weights: WeightMap, outline: Outline, part: Callable[[Entry], Part]) -> list[str]:
    mapped = {part(entry).name: part(entry).whole for entry in weights.entries}
    there, buffers = dict(outline.arrays()), outline.buffers
    faults = []
    if missing := uncovered(outline, mapped, weights.apart):
        faults.append(f"it lacks {', '.join(missing)} of {outline.framework}")
    if strangers := [name for name in mapped if name not in there]:
        faults.append(f"{outline.framework} has no {', '.join(strangers)}")
    faults += [
        f"{name} of {outline.framework} has shape {list(there[name])}, and in the map {list(whole)}"
        for name, whole in mapped.items() if name in there and tuple(there[name]) != tuple(whole)
    ]  # fmt: skip
    kinds = {part(entry).name: entry.buffer for entry in weights.entries}
    faults += [
        f"{name} of {outline.framework} is {'a buffer' if name in buffers else 'a parameter'}, and in the map not"
        for name, buffer in kinds.items() if name in there and buffer != (name in buffers)
    ]  # fmt: skip
    return faults
