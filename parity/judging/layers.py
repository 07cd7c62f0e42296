"""Which tensors only one side can show: they are told and not compared."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import NamedTuple

import numpy as np

from parity.recording import Framework, Recording

PLACE = re.compile(r"^(?P<layer>.+?)(?:#\d+)?\.(?P<what>input|output)\d*$")
"""The name of what goes into a call of a layer, or comes out of it."""


class Unshown(NamedTuple):
    """Names of tensors that only one side can show, and lines that say so."""

    tensors: frozenset[str] = frozenset()
    listed: tuple[str, ...] = ()


def unshown(sides: Mapping[Framework, Recording], unmatched: frozenset[str], apart: frozenset[str]) -> Unshown:
    """What cannot be compared, since the two sides divide the network differently.

    `apart` are arrays of the torch side that have no twin, and everything that is named after them.
    A torch layer in `unmatched` has no JAX module that stands for it, such as packed attention beside separate
    projections. And where a layer is called with more inputs on one side, such as attention that is given its input
    once there and with a mask here, only what comes out of it is compared. A module of the user's own may be given
    images whose channels come last on the JAX side, which nothing but their shapes tells. In any case the neighbours
    and the layers inside are compared, so that nothing lies between two places that both see. A layer that both have
    and only one of them calls is a difference.
    """
    found: set[str] = set()
    listed = []
    if apart:
        tensors = {key.tensor for key in sides["torch"].flow()}
        found |= {tensor for tensor in tensors if any(tensor == name or tensor.endswith(f".{name}") for name in apart)}
        listed.append(f"held on the torch side only: {', '.join(sorted(apart))}")
    torch, jax = (dict(_places(sides[framework])) for framework in ("torch", "jax"))
    if inside := {tensor: layer for tensor, (layer, _) in torch.items() if layer in unmatched}:
        found |= set(inside)
        names = ", ".join(dict.fromkeys(inside.values()))
        if jax:
            listed.append(f"layers of the torch side that no module of the jax side stands for: {names}")
        else:
            listed.append(
                f"layers were not seen on the jax side: of {names}, only parameters and gradients are compared"
            )
    for layer in dict.fromkeys(layer for layer, _ in torch.values()):
        inputs = [{tensor for tensor, place in side.items() if place == (layer, "input")} for side in (torch, jax)]
        if layer not in unmatched and all(inputs) and inputs[0] != inputs[1]:
            found |= inputs[0] | inputs[1]
            listed.append(f"layer {layer}: called with other inputs on each side, only its outputs are compared")
    other = {torch[tensor][0] for tensor in torch.keys() & jax.keys() if _channels_last(sides, tensor)}
    if other := {layer for layer in other if layer not in unmatched}:
        found |= {tensor for tensor, (layer, _) in torch.items() if layer in other}
        names = ", ".join(sorted(other))
        listed.append(
            f"layers whose channels come last on the jax side: {names}, the layers in and around are compared"
        )
    return Unshown(frozenset(found), tuple(listed))


def _channels_last(sides: Mapping[Framework, Recording], tensor: str) -> bool:
    """Whether a tensor has another shape on each side, and one shape once the last axis of JAX's comes second.

    A module of the user's own does not say how its activations are laid out, and the shapes do not always.
    """
    for key in (key for key in sides["torch"].flow() if key.stage == "forward" and key.tensor == tensor):
        here, there = sides["torch"].get(key), sides["jax"].get(key)
        if here is None or there is None or here.shape == there.shape or here.ndim != there.ndim or here.ndim < 3:
            return False
        return bool(here.shape == np.moveaxis(there, -1, 1).shape)
    return False


def _places(recording: Recording) -> Iterator[tuple[str, tuple[str, str]]]:
    """Every tensor of a call of a layer, with the layer and whether it goes in or comes out."""
    own = recording.of("init", 0)
    for key in recording.flow():
        if key.stage == "forward" and key.tensor not in own and (match := PLACE.match(key.tensor)):
            yield key.tensor, (match["layer"], match["what"])
