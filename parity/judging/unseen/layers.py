"""Which tensors only one side can show: they are told and not compared."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from math import prod
from typing import NamedTuple

import numpy as np

from parity.errors import NotCheckable
from parity.judging.distance.difference import difference, largest
from parity.judging.distance.factors import FLOAT64_CEILING
from parity.judging.unseen.whose import held, whose
from parity.recording import FRAMEWORKS, PLACE, Array, Framework, Recording

NUMBER = re.compile(r"(.*?)(?:(?<![^.])(\d+)(?![^.])(.*))?")
"""A name of a layer in three: what stands before the first number in it, that number, and what stands behind."""
TAP = "tap"
"""How what stands at a tap is called in the names of tensors."""
IN_PARTS = "layers that one side calls more often, on fewer examples"
"""How it begins what is said of layers that the other side is given all examples of at once."""
_Shape = tuple[int, ...]


class Unshown(NamedTuple):
    """Names of tensors that only one side can show, and lines that say so.

    `shaped` are those of them that both show, with more numbers on one side.
    """

    tensors: frozenset[str] = frozenset()
    listed: tuple[str, ...] = ()
    shaped: frozenset[str] = frozenset()


class _Seen(NamedTuple):
    """A tensor of a call of a layer, or of a tap: whose it is, whether it goes in or comes out, and its numbers."""

    layer: str
    what: str
    array: Array

    @property
    def shape(self) -> _Shape:
        shape: _Shape = self.array.shape
        return shape


_Places = dict[str, _Seen]
"""Every tensor of the forward stage that belongs to a layer or a tap."""


def unshown(sides: Mapping[Framework, Recording], unmatched: frozenset[str], apart: frozenset[str]) -> Unshown:
    """What cannot be compared, since the two sides divide the network differently.

    `apart` are arrays of the torch side that have no counterpart, and everything that is named after them.
    A torch layer in `unmatched` has no JAX module that stands for it, such as packed attention beside separate
    projections; a tap there cannot be seen on the JAX side. And where a layer is called with more inputs on one side,
    such as attention that is given its input once there and with a mask here, only what comes out of it is compared. A
    module of the user's own may be given images whose channels come last on the JAX side, which nothing else tells, or
    one that stands for torch's layer may have them where torch has; so may a tap. What goes in or out of a layer may
    have another shape on each side until both have cut, flattened or spread it. And a side may read what a layer holds
    and never call it. In any case the neighbours and the layers inside are compared, so that nothing lies
    between two places that both see. A layer or a tap that both call, and only one of them as often, is a difference.

    Raises:
        NotCheckable: an array of `apart` has the name of something that is to be compared.
    """
    torch, jax = (_seen(sides[framework]) for framework in FRAMEWORKS)
    parts = _in_parts(torch, jax, unmatched)
    once = unmatched | {torch[tensor].layer for tensor in parts.tensors & torch.keys()}
    found = [
        parts,
        _apart(sides, apart),
        _unmatched(torch, jax, unmatched),
        _never_called(torch, jax, _layers_of([*sides["torch"].of("init", 0), *apart]), unmatched),
        _one_sided(torch, jax, unmatched),
        _called_otherwise(torch, jax, once),
        _laid_out_otherwise(torch, jax, once),
    ]
    known = frozenset(tensor for part in found for tensor in part.tensors)
    found.append(_shaped_otherwise(torch, jax, once, known))
    return _together(found)


def _together(found: Sequence[Unshown]) -> Unshown:
    tensors = frozenset(tensor for part in found for tensor in part.tensors)
    shaped = frozenset(tensor for part in found for tensor in part.shaped)
    return Unshown(tensors, tuple(line for part in found for line in part.listed), shaped)


def _apart(sides: Mapping[Framework, Recording], apart: frozenset[str]) -> Unshown:
    if not apart:
        return Unshown()
    arrays = held(*sides.values())
    if alike := sorted(apart & {key.tensor for key in sides["torch"].flow() if key.stage == "forward"}):
        raise NotCheckable(
            f"{alike[0]} is held on the torch side only, and what a layer is given or gives has the same name: call it "
            "otherwise"
        )
    named = {key.tensor for key in sides["torch"].flow() if whose(key, arrays) in apart}
    return Unshown(frozenset(named), (f"held on the torch side only: {', '.join(sorted(apart))}",))


def _unmatched(torch: _Places, jax: _Places, unmatched: frozenset[str]) -> Unshown:
    inside = {t: place.layer for t, place in torch.items() if place.layer in unmatched and place.what != TAP}
    if not inside:
        return Unshown()
    names = ", ".join(briefly(dict.fromkeys(inside.values())))
    # A side that was recorded does not say which of the two it is.
    line = (
        "layers of the torch side that no module of the jax side stands for, or one that is called inside a loop or "
        f"jit, where `parity.tap` may show more: {names}"
    )
    if all(place.what == TAP for place in jax.values()):
        line = f"layers were not seen on the jax side: of {names}, only parameters and gradients are compared"
        line += "" if jax else "; `parity.tap` may show more"
    return Unshown(frozenset(inside), (line,))


def briefly(names: Iterable[str]) -> list[str]:
    """Names of layers, those that nothing parts but the first number in them as one: `blocks.{0..3}.norm`."""
    numbers: dict[tuple[str, ...], list[int]] = {}
    for name in names:
        before, number, behind = NUMBER.fullmatch(name).groups()  # type: ignore[union-attr]
        numbers.setdefault((before, behind or ""), []).append(int(number or -1))
    found = []
    for (before, behind), group in numbers.items():
        first, last = min(group), max(group)
        run = len(group) > 1 and sorted(group) == list(range(first, last + 1))
        middle = [f"{{{first}..{last}}}"] if run else ["" if number < 0 else str(number) for number in group]
        found += [f"{before}{number}{behind}" for number in middle]
    return found


def _never_called(torch: _Places, jax: _Places, held: frozenset[str], unmatched: frozenset[str]) -> Unshown:
    """Layers of arrays that both sides hold, and that one side calls in no step, such as a table that it only indexes.

    What `held` does not have is no layer of both: a side whose own parts read it may name its layers as it likes.
    """
    called = [{place.layer for place in side.values() if place.what != TAP} for side in (torch, jax)]
    alone = [sorted((other - own) & held - unmatched) for own, other in (called, called[::-1])]
    lines = [
        f"layers that the {framework} side never calls: of {', '.join(layers)}, only parameters and gradients are "
        "compared; `parity.tap` may show more"
        for framework, layers in zip(FRAMEWORKS, alone, strict=True)
        if layers
    ]
    never = {*alone[0], *alone[1]}
    tensors = {t for side in (torch, jax) for t, place in side.items() if place.what != TAP and place.layer in never}
    return Unshown(frozenset(tensors), tuple(lines))


def _one_sided(torch: _Places, jax: _Places, unmatched: frozenset[str]) -> Unshown:
    """Taps that only one side has, or that JAX has where nothing can be handed out."""
    names = [dict.fromkeys(place.layer for place in side.values() if place.what == TAP) for side in (torch, jax)]
    hidden = [name for name in names[0] if name in unmatched]
    alone = [[name for name in own if name not in {*other, *hidden}] for own, other in (names, names[::-1])]
    lines = [f"taps inside a transformation of the jax side, such as jit: {', '.join(hidden)}"] if hidden else []
    lines += [
        f"taps on the {framework} side only: {', '.join(own)}"
        for framework, own in zip(FRAMEWORKS, alone, strict=True)
        if own
    ]
    unseen = {*hidden, *alone[0], *alone[1]}
    tensors = {t for side in (torch, jax) for t, place in side.items() if place.what == TAP and place.layer in unseen}
    return Unshown(frozenset(tensors), tuple(lines))


def _called_otherwise(torch: _Places, jax: _Places, unmatched: frozenset[str]) -> Unshown:
    found: set[str] = set()
    lines = []
    for layer in dict.fromkeys(place.layer for place in torch.values()):
        inputs = [{t for t, place in side.items() if place[:2] == (layer, "input")} for side in (torch, jax)]
        if layer not in unmatched and all(inputs) and inputs[0] != inputs[1]:
            found |= inputs[0] | inputs[1]
            lines.append(f"layer {layer}: called with other inputs on each side, only its outputs are compared")
    return Unshown(frozenset(found), tuple(lines))


def _in_parts(torch: _Places, jax: _Places, unmatched: frozenset[str]) -> Unshown:
    """Layers that a side calls on examples one part after another, such as two views, and the other on all at once."""
    found = []
    for layer in dict.fromkeys(place.layer for place in torch.values() if place.layer not in unmatched):
        calls = [[place.shape for place in side.values() if place[:2] == (layer, "output")] for side in (torch, jax)]
        if len(calls[0]) != len(calls[1]) and all(calls) and _together_alike(*calls):
            found.append(layer)
    if not found:
        return Unshown()
    tensors = {t for side in (torch, jax) for t, place in side.items() if place.layer in found and place.what != TAP}
    line = f"{IN_PARTS}: of {', '.join(briefly(found))}, only parameters and gradients are compared"
    return Unshown(frozenset(tensors), (line,))


def _together_alike(torch: Sequence[_Shape], jax: Sequence[_Shape]) -> bool:
    """Whether these are, one behind another, of one shape."""
    shapes = {shape[1:] for shape in (*torch, *jax)}
    return len(shapes) == 1 and all((*torch, *jax)) and sum(s[0] for s in torch) == sum(s[0] for s in jax)


def _laid_out_otherwise(torch: _Places, jax: _Places, unmatched: frozenset[str]) -> Unshown:
    found = [
        _of_shapes(torch, jax, unmatched, holds, way)
        for way, holds in {
            "whose channels come last on the jax side": _channels_last,
            "whose channels come behind the examples on the jax side": _channels_second,
        }.items()
    ]
    return _together(found)


def _of_shapes(
    torch: _Places, jax: _Places, unmatched: frozenset[str], holds: Callable[[Array, Array], bool], way: str
) -> Unshown:
    both = [t for t in torch if t in jax and holds(torch[t].array, jax[t].array) and torch[t].layer not in unmatched]
    layers = sorted({torch[tensor].layer for tensor in both if torch[tensor].what != TAP})
    taps = sorted({torch[tensor].layer for tensor in both if torch[tensor].what == TAP})
    ends = {"layers": (layers, "the layers in and around are compared"), "taps": (taps, "they are not compared")}
    lines = [f"{what} {way}: {', '.join(names)}, {end}" for what, (names, end) in ends.items() if names]
    tensors = {t for t, place in torch.items() if place.layer in (taps if place.what == TAP else layers)}
    return Unshown(frozenset(tensors), tuple(lines))


def _shaped_otherwise(torch: _Places, jax: _Places, unmatched: frozenset[str], known: frozenset[str]) -> Unshown:
    """What has another shape on each side: positions that are looked up once or for each example, what is padded before
    a convolution or in it, or cut off behind it, tokens of a batch in one row or in several.

    Whether that is one thing shows in what follows (`before_differences`). A tap is where the user says that both have
    one thing.
    """
    groups: dict[tuple[_Shape, _Shape], list[str]] = {}
    for tensor in (t for t in torch if t in jax and t not in known and torch[t].layer not in unmatched):
        shapes = torch[tensor].shape, jax[tensor].shape
        if torch[tensor].what != TAP and shapes[0] != shapes[1]:
            groups.setdefault(shapes, []).append(tensor)
    lines = [
        f"of another shape on each side, so that only what comes before and after it is compared: "
        f"{', '.join(briefly(tensors))} (torch {shapes[0]}, jax {shapes[1]})"
        for shapes, tensors in groups.items()
    ]
    apart = {shapes: frozenset(tensors) for shapes, tensors in groups.items()}
    more = [tensors for (here, there), tensors in apart.items() if prod(here) != prod(there)]
    return Unshown(frozenset().union(*apart.values()), tuple(lines), frozenset().union(*more))


def _layers_of(arrays: Iterable[str]) -> frozenset[str]:
    return frozenset(name.rpartition(".")[0] for name in arrays)


def _channels_last(torch: Array, jax: Array) -> bool:
    """Whether a tensor is laid out otherwise on each side, and alike once the last axis of JAX's comes second.

    A module of the user's own does not say how its activations are laid out, and the shapes do not always: of images
    with as many channels as pixels either way only the numbers tell.
    """
    if jax.ndim < 3 or torch.shape != (moved := np.moveaxis(jax, -1, 1)).shape:
        return False
    return torch.shape != jax.shape or (not _alike(torch, jax) and _alike(torch, moved))


def _alike(one: Array, other: Array) -> bool:
    return difference(one, other, largest(one)) <= FLOAT64_CEILING


def _channels_second(torch: Array, jax: Array) -> bool:
    """Whether it has once the second axis of JAX's comes last: it was second before it was taken for the last."""
    return not _channels_last(torch, jax) and _channels_last(jax, torch)


def _seen(recording: Recording) -> _Places:
    """Every tensor of a call of a layer and every tap, as it was seen first."""
    own, found = recording.of("init", 0), _Places()
    for key in recording.flow():
        if key.stage == "forward" and key.tensor not in own and (match := PLACE.match(key.tensor)):
            array = recording.of(*key[:2])[key.tensor]
            found.setdefault(key.tensor, _Seen(match["layer"], match["what"], array))
    return found
