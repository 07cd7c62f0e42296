"""Outlines made by hand, of either framework, from a few words."""

from __future__ import annotations

from typing import Any

from parity.recording import Framework
from parity.weight_map.outline import Module, Outline, Shapes

Layer = tuple[str, Shapes, Shapes, dict[str, Any]]


def linear(inputs: int, outputs: int) -> Layer:
    return "Linear", {"weight": (outputs, inputs), "bias": (outputs,)}, {}, {}


def jax_linear(inputs: int, outputs: int) -> Layer:
    return "Linear", {"kernel": (inputs, outputs), "bias": (outputs,)}, {}, {}


def norm(size: int) -> Layer:
    return "LayerNorm", {"weight": (size,), "bias": (size,)}, {}, {}


def jax_norm(size: int) -> Layer:
    return "LayerNorm", {"scale": (size,), "bias": (size,)}, {}, {}


def conv(inputs: int, outputs: int, *window: int) -> Layer:
    shapes = {"weight": (outputs, inputs, *window), "bias": (outputs,)}
    return f"Conv{len(window)}d", shapes, {}, {"groups": 1}


def jax_conv(inputs: int, outputs: int, *window: int) -> Layer:
    return "Conv", {"kernel": (*window, inputs, outputs), "bias": (outputs,)}, {}, {}


def batch_norm(size: int, kind: str = "BatchNorm2d") -> Layer:
    statistics: Shapes = {"running_mean": (size,), "running_var": (size,), "num_batches_tracked": ()}
    return kind, {"weight": (size,), "bias": (size,)}, statistics, {}


def jax_batch_norm(size: int) -> Layer:
    return "BatchNorm", {"scale": (size,), "bias": (size,)}, {"mean": (size,), "var": (size,)}, {}


def own(**parameters: tuple[int, ...]) -> Layer:
    """A module of the user's own class."""
    return "Mine", dict(parameters), {}, {"built_on": ""}


def plain(**parameters: tuple[int, ...]) -> Layer:
    """A part of a plain tree."""
    return "", dict(parameters), {}, {}


def made(
    framework: Framework, layers: dict[str, Layer], tied: dict[str, str] | None = None, kind: str = "Net"
) -> Outline:
    """An outline with these layers; the modules around them stand where the first of their layers does."""
    modules = {"": Module("", kind, {}, {}, {"built_on": ""} if kind else {})}
    for name, layer in layers.items():
        parts = name.split(".") if name else []
        for depth in range(1, len(parts)):
            around = ".".join(parts[:depth])
            modules.setdefault(around, Module(around, kind and "List", {}, {}, {}))
        modules[name] = Module(name, *layer)
    return Outline(framework, tuple(modules.values()), tied or {})


def torch(layers: dict[str, Layer], tied: dict[str, str] | None = None) -> Outline:
    return made("torch", layers, tied)


def jax(layers: dict[str, Layer], tied: dict[str, str] | None = None) -> Outline:
    return made("jax", layers, tied)


def jax_tree(layers: dict[str, Layer]) -> Outline:
    return made("jax", layers, kind="")
