"""Where a torch model flattens the output of a convolution, or folds a flat one: two orders are possible there."""

from __future__ import annotations

from dataclasses import dataclass, field
from math import prod
from typing import NamedTuple

from parity.weight_map import kinds
from parity.weight_map.kinds import CELL, CONV, CONV_TRANSPOSE, EMBEDDING, LINEAR, NORM, family, framework_class
from parity.weight_map.outline import Module, Outline


class Flattened(NamedTuple):
    """What could be flat in two orders: so many `channels` of a window with `axes` axes and `places` places.

    `verb`: flatten for the inputs of a layer, unflatten for its outputs, entries for a vector.
    """

    verb: str
    channels: int
    places: int
    axes: int

    @property
    def why(self) -> str:
        """The end of a sentence."""
        order = " x ".join("CHWD"[: self.axes + 1])
        return f", since {self.channels * self.places} numbers are {self.channels} channels flattened as {order} or not"

    def words(self) -> list[str]:
        """The words of an override that can be meant."""
        side = round(self.places ** (1 / self.axes))
        window = [str(side)] * self.axes if side**self.axes == self.places else ["H", "W", "D"][: self.axes]
        verb, otherwise = ("flatten", "as is") if self.verb == "entries" else (self.verb, "transpose")
        return [" ".join([verb, str(self.channels), *window]), otherwise]


@dataclass
class _Walk:
    """What has been seen so far, in order of definition."""

    channels: int = 0
    axes: int = 0
    widths: set[int] = field(default_factory=set)
    flat: list[Module] = field(default_factory=list)
    """The last linear layer and the norms behind it."""
    found: dict[str, Flattened] = field(default_factory=dict)


def flattened(torch: Outline) -> dict[str, Flattened]:
    """By full name, every torch array with an axis that is a whole number of times the channels beside it.

    A linear layer whose inputs are as many as another layer's features, rather than the convolution's, is not asked.
    """
    walk = _Walk()
    for module in torch.modules:
        if "weight" not in module.parameters:
            walk.widths |= _widths(module)
            continue
        of = family(module.kind, module.config)
        if of in (CONV, CONV_TRANSPOSE):
            _convolution(walk, module, of)
        elif of == LINEAR:
            _linear(walk, module)
        elif of == NORM:
            _norm(walk, module)
        else:
            walk.widths |= _widths(module)
    return walk.found


def _convolution(walk: _Walk, module: Module, of: str) -> None:
    first, second, *window = module.parameters["weight"]
    groups = module.config.get("groups", 1)
    inputs, outputs = (second * groups, first) if of == CONV else (first, second * groups)
    for flat in walk.flat:
        size = flat.parameters["weight"][0]
        # Twice the channels of an image are a scale and a shift of each; nobody folds numbers into images of 1 by 2.
        if len(window) < 2 or size != 2 * inputs:
            _mark(walk, flat, "unflatten", inputs, len(window), size)
    walk.channels, walk.axes, walk.flat = outputs, len(window), []


def _linear(walk: _Walk, module: Module) -> None:
    outputs, inputs = module.parameters["weight"]
    marked = inputs not in walk.widths and _mark(walk, module, "flatten", walk.channels, walk.axes, inputs)
    walk.widths |= {outputs} if marked else {outputs, inputs}
    walk.flat = [module]


def _norm(walk: _Walk, module: Module) -> None:
    size = prod(module.parameters["weight"])
    has_channels = kinds.has_channels(module.kind, module.config)
    if not has_channels or size in walk.widths:
        walk.widths.add(size)
        walk.flat = [*walk.flat, module] if walk.flat and has_channels else walk.flat
    elif framework_class(module.kind, module.config) == "BatchNorm1d" and walk.axes > 1:
        _mark(walk, module, "flatten", walk.channels, walk.axes, size)
    else:
        walk.channels = size


def _mark(walk: _Walk, module: Module, verb: str, channels: int, axes: int, size: int) -> bool:
    if channels < 2 or size == channels or size % channels:
        return False
    found = Flattened(verb, channels, size // channels, axes)
    for own, shape in (module.parameters | module.buffers).items():
        if len(shape) == 2:
            walk.found[module.full(own)] = found
        elif shape and (verb == "unflatten" or module.parameters["weight"] == shape):
            walk.found[module.full(own)] = found._replace(verb="entries")
    return True


def _widths(module: Module) -> set[int]:
    """Feature counts that any other layer's arrays speak of."""
    of = family(module.kind, module.config)
    shapes = module.parameters.values()
    if of == CELL:
        return {shape[-1] for shape in shapes}
    return (
        {shape[-1] for shape in shapes if shape} if of == EMBEDDING or "in_proj_weight" in module.parameters else set()
    )
