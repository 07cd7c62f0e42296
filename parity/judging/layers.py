"""Which tensors only one side can show: they are told and not compared."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from parity.recording import FRAMEWORKS, PLACE, Framework, Recording


class Unshown(NamedTuple):
    """Names of tensors that only one side can show, and lines that say so."""

    tensors: frozenset[str] = frozenset()
    listed: tuple[str, ...] = ()


class _Seen(NamedTuple):
    """A tensor of a call of a layer: whose it is, whether it goes in or comes out, and how large it is."""

    layer: str
    what: str
    shape: tuple[int, ...]


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
    torch, jax = (_seen(sides[framework]) for framework in FRAMEWORKS)
    if inside := {tensor: place.layer for tensor, place in torch.items() if place.layer in unmatched}:
        found |= set(inside)
        names = ", ".join(dict.fromkeys(inside.values()))
        if jax:
            listed.append(f"layers of the torch side that no module of the jax side stands for: {names}")
        else:
            listed.append(
                f"layers were not seen on the jax side: of {names}, only parameters and gradients are compared"
            )
    for layer in dict.fromkeys(place.layer for place in torch.values()):
        inputs = [{t for t, place in side.items() if place[:2] == (layer, "input")} for side in (torch, jax)]
        if layer not in unmatched and all(inputs) and inputs[0] != inputs[1]:
            found |= inputs[0] | inputs[1]
            listed.append(f"layer {layer}: called with other inputs on each side, only its outputs are compared")
    other = {torch[tensor].layer for tensor in torch.keys() & jax.keys() if _channels_last(torch[tensor], jax[tensor])}
    if other := {layer for layer in other if layer not in unmatched}:
        found |= {tensor for tensor, place in torch.items() if place.layer in other}
        names = ", ".join(sorted(other))
        listed.append(
            f"layers whose channels come last on the jax side: {names}, the layers in and around are compared"
        )
    return Unshown(frozenset(found), tuple(listed))


def _channels_last(torch: _Seen, jax: _Seen) -> bool:
    """Whether a tensor has another shape on each side, and one shape once the last axis of JAX's comes second.

    A module of the user's own does not say how its activations are laid out, and the shapes do not always.
    """
    there = jax.shape
    return len(there) > 2 and torch.shape != there and torch.shape == (there[0], there[-1], *there[1:-1])


def _seen(recording: Recording) -> dict[str, _Seen]:
    """Every tensor of a call of a layer, as it was seen first."""
    own, found = recording.of("init", 0), dict[str, _Seen]()
    for key in recording.flow():
        if key.stage == "forward" and key.tensor not in own and (match := PLACE.match(key.tensor)):
            shape = recording.of(*key[:2])[key.tensor].shape
            found.setdefault(key.tensor, _Seen(match["layer"], match["what"], shape))
    return found
