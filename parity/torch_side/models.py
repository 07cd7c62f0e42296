"""How the engine holds a torch side's model: by the side's own parts, or as any `nn.Module`."""

from __future__ import annotations

import copy
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from functools import cached_property
from itertools import chain
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor, nn

from parity.errors import REAL_ONLY, NotCheckable
from parity.recording import Array, Arrays, Dtype
from parity.sides.parts import Parts
from parity.torch_side.copied import can_be_copied


def to_numpy(tensor: Tensor) -> Array:
    """A tensor as an array of its own memory, so that a later step cannot overwrite it; bfloat16 in float32.

    The gradient of an `nn.Embedding(sparse=True)` holds some of its rows alone: the others are 0.
    """
    dense = tensor if tensor.layout is torch.strided else tensor.to_dense()
    shown = dense.float() if dense.dtype is torch.bfloat16 else dense
    return np.array(shown.detach().cpu().numpy())


def in_dtype(array: Array, dtype: Dtype) -> Tensor:
    """An array as a tensor of its own memory, a floating one in `dtype`."""
    tensor = torch.from_numpy(np.array(array))
    return tensor.to(getattr(torch, dtype)) if tensor.is_floating_point() else tensor


class Models(Protocol):
    """Builds the models of a side, and reads them back as canonical arrays."""

    def built(self, arrays: Arrays, *, training: bool) -> Any:
        """A model of its own memory that holds these arrays, in training or in evaluation mode."""

    def arrays(self, model: Any) -> Arrays:
        """All that a model holds: its parameters and its buffers."""

    def buffers(self, model: Any) -> Arrays:
        """What of that no gradient moves: batch statistics, counters."""

    def parameters(self, model: Any) -> dict[str, Tensor]:
        """The tensors that the optimizer is handed."""

    @property
    def still(self) -> frozenset[str]:
        """Those of the parameters that are held as buffers are."""


class ByHand:
    """A model that the side's own parts build and read."""

    def __init__(self, parts: Parts, dtype: Dtype, device: str) -> None:
        self._parts, self._dtype, self._device = parts, dtype, device

    def built(self, arrays: Arrays, *, training: bool) -> Any:
        return self._parts.model_of(arrays, self._dtype, self._device)

    def arrays(self, model: Any) -> Arrays:
        found: Arrays = self._parts.arrays(model)
        return {name: np.array(array) for name, array in found.items()}

    def buffers(self, model: Any) -> Arrays:
        return {}

    def parameters(self, model: Any) -> dict[str, Tensor]:
        return dict(model.named_parameters()) if isinstance(model, nn.Module) else dict(model)

    @property
    def still(self) -> frozenset[str]:
        return frozenset()


class OfModule:
    """Any `nn.Module`, built once without arguments and copied for every use.

    It is built while torch's default dtype is the run's, so that tables and masks that it makes are in that dtype.
    What cannot be copied, or would lose hooks of its parameters, is built anew for every use.
    """

    def __init__(self, parts: Parts, dtype: Dtype, device: torch.device) -> None:
        self._parts, self._dtype, self._device = parts, dtype, device
        self._template = self._made()
        self._is_copied = can_be_copied(self._template)

    def _made(self) -> nn.Module:
        return module_of(self._parts, self._dtype).to(self._device)

    def built(self, arrays: Arrays, *, training: bool) -> nn.Module:
        model = (copy.deepcopy(self._template) if self._is_copied else self._made()).train(training)
        held = _held(model)
        if held.keys() != arrays.keys():
            odd = sorted(held.keys() ^ arrays.keys())
            raise NotCheckable(f"the torch side's model and the parameters differ in {odd[0]}: one of them lacks it")
        with torch.no_grad():
            for name, tensor in held.items():
                if tensor.shape != arrays[name].shape:
                    raise NotCheckable(
                        f"the torch side's {name} has shape {tuple(tensor.shape)}: it was given {arrays[name].shape}"
                    )
                tensor.copy_(torch.from_numpy(np.array(arrays[name])))
        return model

    def arrays(self, model: nn.Module) -> Arrays:
        return {name: to_numpy(tensor) for name, tensor in _held(model).items()}

    def buffers(self, model: nn.Module) -> Arrays:
        trained = dict(model.named_parameters()).keys() - self.still
        return {name: to_numpy(tensor) for name, tensor in _held(model).items() if name not in trained}

    def parameters(self, model: nn.Module) -> dict[str, Tensor]:
        return dict(model.named_parameters())

    @cached_property
    def still(self) -> frozenset[str]:
        return self._parts.torch_outline.still


def _held(model: nn.Module) -> dict[str, Tensor]:
    """Parameters and persistent buffers by name, in that order; what is tied stands once, under its first name."""
    kept = model.state_dict(keep_vars=True)
    buffers = {name: buffer for name, buffer in model.named_buffers() if name in kept}
    return dict(model.named_parameters()) | buffers


def trained(named: dict[str, Tensor], frozen: Collection[str]) -> dict[str, Tensor]:
    """Those of the parameters that gradients are taken by. A frozen one, or one that is still, need not have one.

    Raises:
        NotCheckable: a parameter has none that is not declared frozen.
    """
    if still := [name for name, tensor in named.items() if not tensor.requires_grad and name not in frozen]:
        raise NotCheckable(
            f"the torch side's parameter {still[0]} has requires_grad off: if no step is to move it, declare that in "
            f"the pair: frozen=({still[0]!r},)"
        )
    return {name: tensor for name, tensor in named.items() if tensor.requires_grad}


@contextmanager
def default_dtype(dtype: Dtype) -> Iterator[None]:
    """Torch's default dtype is `dtype` meanwhile; float32 for bfloat16, to which a model is taken by `model.to`."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float32 if dtype == "bfloat16" else getattr(torch, dtype))
    try:
        yield
    finally:
        torch.set_default_dtype(before)


def module_of(parts: Parts, dtype: Dtype, seed: int = 0) -> nn.Module:
    """The side's `nn.Module` as it draws itself after `torch.manual_seed(seed)`, made in `dtype`.

    Raises:
        NotCheckable: the part fails, gives something else, or gives a module that holds complex numbers.
    """
    # What it draws must not move the generators of whoever called.
    with torch.random.fork_rng(), default_dtype(dtype):
        torch.manual_seed(seed)
        model = parts.made()
    if not isinstance(model, nn.Module):
        raise NotCheckable(
            f"the torch side's model gave a {type(model).__name__}: expected an nn.Module, or name the part `arrays`, "
            "which reads it"
        )
    # `to` would drop the imaginary parts, of buffers that are not kept in a checkpoint too.
    if found := [name for name, held in chain(model.named_parameters(), model.named_buffers()) if held.is_complex()]:
        raise NotCheckable(f"the torch side's {found[0]} is complex: {REAL_ONLY}, as torch.view_as_real does")
    return model.to(getattr(torch, dtype))


def drawn(parts: Parts, seed: int) -> Arrays:
    """The initial parameters and buffers of a side's module, float64 where they are floating."""
    return {name: to_numpy(tensor) for name, tensor in _held(module_of(parts, "float64", seed)).items()}
