"""The outline of an `nn.Module`."""

from __future__ import annotations

from typing import Any

from torch import nn

from parity.weight_map.outline import Module, Outline

SETTINGS = ("groups", "num_heads", "batch_first", "num_layers", "bidirectional", "proj_size")
"""Settings of torch's layers that decide how their arrays are laid out."""


def outline(model: nn.Module) -> Outline:
    """The model's modules in order of definition. A module under two names stands under both, and its arrays are tied.

    Of a class of the user's own, the config says which of torch's layers it is built on, if any.
    """
    first: dict[int, str] = {}
    tied: dict[str, str] = {}
    modules = []
    for name, module in model.named_modules(remove_duplicate=False):
        own = [{key: value for key, value in held.items() if value is not None} for held in _held(module)]
        shapes = [{key: tuple(tensor.shape) for key, tensor in group.items()} for group in own]
        modules.append(Module(name, type(module).__name__, shapes[0], shapes[1], _config(module)))
        for key, tensor in (own[0] | own[1]).items():
            full = modules[-1].full(key)
            if first.setdefault(id(tensor), full) != full:
                tied[full] = first[id(tensor)]
    return Outline("torch", tuple(modules), tied)


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
    return cls.__module__.startswith("torch.nn.")
