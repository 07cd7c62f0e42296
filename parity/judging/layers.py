"""Which tensors only one side can show: they are told and not compared."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import NamedTuple

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
    once there and with a mask here, only what comes out of it is compared. Either way the neighbours are, so that
    nothing lies between two places that both see. A layer that both have and only one of them calls is a difference.
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
    return Unshown(frozenset(found), tuple(listed))


def _places(recording: Recording) -> Iterator[tuple[str, tuple[str, str]]]:
    """Every tensor of a call of a layer, with the layer and whether it goes in or comes out."""
    own = recording.of("init", 0)
    for key in recording.flow():
        if key.stage == "forward" and key.tensor not in own and (match := PLACE.match(key.tensor)):
            yield key.tensor, (match["layer"], match["what"])
