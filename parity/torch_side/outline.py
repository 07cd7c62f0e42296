"""The outline of an `nn.Module`."""

from __future__ import annotations

from collections.abc import Collection
from fnmatch import fnmatchcase
from typing import Any

from torch import nn

from parity.weight_map.outline import STILL, Module, Outline

SETTINGS = ("groups", "num_heads", "batch_first", "num_layers", "bidirectional", "proj_size")
"""Settings of torch's layers that decide how their arrays are laid out."""


def outline(model: nn.Module, still: Collection[str] = ()) -> Outline:
    """The model's modules in order of definition. A module under two names stands under both, and its arrays are tied.

    Parameters that stand `still`, by any of their names, are buffers here, and the config says which these are. Of a
    class of the user's own it says which of torch's layers it is built on, if any.
    """
    first: dict[int, str] = {}
    tied: dict[str, str] = {}
    modules = []
    for name, module in model.named_modules(remove_duplicate=False):
        own = [{key: value for key, value in held.items() if value is not None} for held in _held(module)]
        shapes = [{key: tuple(tensor.shape) for key, tensor in group.items()} for group in own]
        kept = [key for key in own[0] if f"{name}.{key}".removeprefix(".") in still]
        config = _config(module) | ({STILL: kept} if kept else {})
        buffers = {key: shapes[0].pop(key) for key in kept} | shapes[1]
        modules.append(Module(name, type(module).__name__, shapes[0], buffers, config))
        for key, tensor in (own[0] | own[1]).items():
            full = modules[-1].full(key)
            if first.setdefault(id(tensor), full) != full:
                tied[full] = first[id(tensor)]
    return Outline("torch", tuple(modules), tied)


def still(model: nn.Module, frozen: Collection[str]) -> frozenset[str]:
    """The parameters of which no gradient is asked and that no pattern of `frozen` means, under all of their names.

    They are buffers in all but the name: what moves them, if anything does, is the code of the model, as the running
    average that a target network is.
    """
    meant: dict[int, bool] = {}
    named = [(name, p) for name, p in model.named_parameters(remove_duplicate=False) if not p.requires_grad]
    for name, parameter in named:
        meant[id(parameter)] = meant.get(id(parameter), False) or any(fnmatchcase(name, pattern) for pattern in frozen)
    return frozenset(name for name, parameter in named if not meant[id(parameter)])


def _held(module: nn.Module) -> tuple[dict[str, Any], dict[str, Any]]:
    return module._parameters, module._buffers


def _config(module: nn.Module) -> dict[str, Any]:
    config: dict[str, Any] = {name: value for name in SETTINGS if isinstance(value := getattr(module, name, None), int)}
    cls = type(module)
    if not _is_torchs(cls):
        base = next(filter(_is_torchs, cls.__mro__), nn.Module)
        config["built_on"] = "" if base is nn.Module else base.__name__
    return config


def _is_torchs(cls: type) -> bool:
    # `torch.nn.utils.parametrize` makes a class of its own for each layer.
    return cls.__module__.startswith("torch.nn.") and not cls.__module__.startswith("torch.nn.utils.")
