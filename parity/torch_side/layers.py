"""What goes in and out of every layer of an `nn.Module`, what stands at taps, and the gradients that come back."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from parity.arrays.rounding import splitter
from parity.pair.tap import check_tap
from parity.torch_side.outputs import leaves_of, mapped


def rounded(tensor: Tensor, bits: int | None) -> Tensor:
    """`tensor` to `bits` mantissa bits (None: as it is); the gradient passes as if nothing had been rounded."""
    if bits is None or not tensor.is_floating_point():
        return tensor
    with torch.no_grad():
        scaled = tensor * splitter(str(tensor.dtype).removeprefix("torch."), bits)
        # What is infinite, or becomes so on the way, stays as it is.
        change = torch.nan_to_num(scaled - (scaled - tensor) - tensor, 0.0, 0.0, 0.0)
    return tensor + change


class _Handed:
    """A clone of a layer's input, which the layer is handed instead."""

    def __init__(self, given: Tensor, clone: Tensor) -> None:
        self._given, self.clone = given, clone
        # How often it was changed in place. Inference mode does not count that.
        self._before = clone.clone() if clone.is_inference() else clone._version

    def give_back(self) -> None:
        """Do to the input what the layer did to the clone in place: what comes after the layer may read that."""
        before, clone = self._before, self.clone
        if not torch.equal(before, clone) if isinstance(before, Tensor) else before != clone._version:
            self._given.copy_(clone)


class Layers:
    """Tensors of one pass: `forward` in the order of the calls, `inputs` those to differentiate by.

    `outputs` are the model's own, as its last call gave them.

    Args:
        bits: every recorded activation is rounded to so many mantissa bits; None: not at all.
        taught: what every layer is handed instead of what comes to it, and what is handed on instead of what it gives.
        names: of the layers, which no tap may have.
        slopes: whether it is differentiated by the inputs: a tensor that asks for that does not leave torch.
    """

    def __init__(
        self, bits: int | None, taught: dict[str, Tensor] | None = None, names: Collection[str] = (), *,
        slopes: bool = True,
    ) -> None:  # fmt: skip
        self.forward: dict[str, Tensor] = {}
        self.inputs: dict[str, Tensor] = {}
        self.outputs: Any = None
        self._bits = bits
        self._taught = taught or {}
        self._names = names
        self._slopes = slopes
        self._calls: Counter[str] = Counter()
        self._handed: list[list[_Handed]] = []
        """Of each call that has not ended."""

    def enter(self, name: str, given: tuple[Any, ...], named: dict[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Before a layer is called: hand it clones of its inputs, so that nothing it does in place overwrites them.

        An input that is given twice, such as the one of self-attention, is one input.
        """
        self._calls[name] += 1
        clones: dict[int, _Handed] = {}

        def taken(argument: Any) -> Any:
            if not _floating(argument):
                return argument
            if id(argument) not in clones:
                clone = self._input(f"{self._call(name)}.input{len(clones) or ''}", argument)
                clones[id(argument)] = _Handed(argument, clone)
            return clones[id(argument)].clone

        arguments = tuple(map(taken, given)), {key: taken(argument) for key, argument in named.items()}
        self._handed.append(list(clones.values()))
        return arguments

    def leave(self, name: str, output: Any) -> Any:
        """After a layer was called: keep what came out, and hand on clones."""
        for handed in self._handed.pop():
            handed.give_back()
        numbers: dict[int, list[int]] = {}
        for number, leaf in enumerate(filter(_floating, leaves_of(output))):
            numbers.setdefault(id(leaf), []).append(number)
        found: dict[int, tuple[str, Tensor]] = {}

        def kept(leaf: Any) -> Any:
            if not _floating(leaf):
                return leaf
            number = numbers[id(leaf)].pop(0)
            place, leaf = f"{self._call(name)}.output{number or ''}", rounded(leaf.clone(), self._bits)
            found[number] = place, leaf
            return self._handed_on(place, leaf).clone()

        handed_on = mapped(kept, output)
        self.forward |= dict(found[number] for number in sorted(found))
        return handed_on

    def tap(self, value: Any, name: str) -> Tensor:
        """At a tap: keep what stands there, and hand on a clone, which an operation in place may overwrite."""
        check_tap(name, self._names, value, "a tensor of floating numbers", fits=_floating(value))
        self._calls[name] += 1
        return self._input(f"{self._call(name)}.tap", value)

    def _handed_on(self, name: str, tensor: Tensor) -> Tensor:
        """What is taught for a place, if that fits there."""
        taught = self._taught.get(name, tensor)
        if taught is tensor or taught.shape != tensor.shape:
            return tensor
        # Exactly what is taught, and the gradient passes as if nothing had been.
        return taught + (tensor - tensor.detach()) if torch.is_grad_enabled() else taught

    def _input(self, name: str, tensor: Tensor) -> Tensor:
        """Keep what comes to a place, and give a clone of it, or of what is taught there."""
        tensor = rounded(tensor.clone(), self._bits)
        if self._slopes and not tensor.requires_grad:
            tensor.requires_grad_()
        self.forward[name] = self.inputs[name] = tensor
        return self._handed_on(name, tensor).clone()

    def _call(self, name: str) -> str:
        return name if self._calls[name] == 1 else f"{name}#{self._calls[name]}"


def _owns(module: nn.Module, *, buffers: bool) -> bool:
    """Whether a module has parameters of its own or, with `buffers`, any arrays: a norm without weights has those."""
    own = [*module.parameters(recurse=False), *(module.buffers(recurse=False) if buffers else ())]
    return bool(own)


def _floating(value: object) -> bool:
    return isinstance(value, Tensor) and value.is_floating_point()


@contextmanager
def watch(
    model: object, bits: int | None, *, taught: dict[str, Tensor] | None = None, layers: bool = True,
    by_hand: bool = True, slopes: bool = True,
) -> Iterator[Layers]:  # fmt: skip
    """Watch every submodule that owns arrays while the model runs, and what the model gives.

    A model that is no `nn.Module` has no layers. Without `layers` only its output is watched. Where the side's own
    parts read the model, `by_hand`, the model itself may be a layer, and no buffer makes one: so it is on the JAX side.
    """
    modules = model.named_modules() if layers and isinstance(model, nn.Module) else ()
    owners = {
        name or "model": module for name, module in modules if (name or by_hand) and _owns(module, buffers=not by_hand)
    }
    watched = Layers(bits, taught, owners.keys(), slopes=slopes)
    hooks = []
    for call, module in owners.items():
        hooks += [
            module.register_forward_pre_hook(
                lambda _, given, named, call=call: watched.enter(call, given, named), with_kwargs=True
            ),
            module.register_forward_hook(lambda _, __, output, call=call: watched.leave(call, output)),
        ]
    if isinstance(model, nn.Module):
        hooks.append(model.register_forward_hook(lambda _, __, output: setattr(watched, "outputs", output)))
    try:
        yield watched
    finally:
        for hook in hooks:
            hook.remove()
