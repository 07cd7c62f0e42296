"""What goes in and out of every layer of an `nn.Module`, and the gradient that comes back to its input."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from parity.rounding import splitter


def rounded(tensor: Tensor, bits: int | None) -> Tensor:
    """`tensor` to `bits` mantissa bits (None: as it is); the gradient passes as if nothing had been rounded."""
    if bits is None or not tensor.is_floating_point():
        return tensor
    with torch.no_grad():
        scaled = tensor * splitter(str(tensor.dtype).removeprefix("torch."), bits)
        change = scaled - (scaled - tensor) - tensor
    return tensor + change


class Layers:
    """Tensors of one pass: `forward` in the order of the calls, `inputs` those to differentiate by."""

    def __init__(self, bits: int | None) -> None:
        self.forward: dict[str, Tensor] = {}
        self.inputs: dict[str, Tensor] = {}
        self._bits = bits
        self._calls: Counter[str] = Counter()

    def enter(self, name: str, arguments: tuple[Any, ...]) -> tuple[Any, ...]:
        """Before a layer is called: hand it clones of its inputs, which an operation in place cannot overwrite."""
        self._calls[name] += 1
        return tuple(
            self._input(f"{self._call(name)}.input{index or ''}", argument) if _floating(argument) else argument
            for index, argument in enumerate(arguments)
        )

    def leave(self, name: str, output: Any) -> Any:
        """After a layer was called: keep its output, and hand on a clone."""
        if not _floating(output):
            return output
        output = rounded(output.clone(), self._bits)
        self.forward[f"{self._call(name)}.output"] = output
        return output.clone()

    def _input(self, name: str, tensor: Tensor) -> Tensor:
        tensor = rounded(tensor.clone(), self._bits)
        if not tensor.requires_grad:
            tensor.requires_grad_()
        self.forward[name] = self.inputs[name] = tensor
        return tensor

    def _call(self, name: str) -> str:
        return name if self._calls[name] == 1 else f"{name}#{self._calls[name]}"


def _floating(value: object) -> bool:
    return isinstance(value, Tensor) and value.is_floating_point()


@contextmanager
def watch(model: object, bits: int | None) -> Iterator[Layers]:
    """Watch every submodule that owns parameters while the model runs. A model that is no `nn.Module` has no layers."""
    layers = Layers(bits)
    hooks = []
    modules = model.named_modules() if isinstance(model, nn.Module) else ()
    for name, module in modules:
        if next(module.parameters(recurse=False), None) is not None:
            call = name or "model"
            hooks.append(module.register_forward_pre_hook(lambda _, inputs, call=call: layers.enter(call, inputs)))
            hooks.append(module.register_forward_hook(lambda _, __, output, call=call: layers.leave(call, output)))
    try:
        yield layers
    finally:
        for hook in hooks:
            hook.remove()
