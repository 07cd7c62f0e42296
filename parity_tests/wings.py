"""A wing's problem in float64, asked the same way of both wings (NumPy in, NumPy out), and with mistakes planted."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable
from types import ModuleType
from typing import Any
from unittest import mock

import jax
import jax.numpy as jnp
import numpy as np
import torch
from flax import nnx

from parity_tests.by_hand import Arrays, Batch, Pass


def wing_pass(module: ModuleType, parameters: Arrays, batch: Batch) -> Pass:
    """Output, loss and gradients of `module` (torchnet.mlp, say), by the autodiff of its framework."""
    passes = {"torchnet": _torch_pass, "jaxnet": _jax_pass}
    return passes[module.__name__.partition(".")[0]](module, parameters, batch)


def wing_loss(module: ModuleType, parameters: Arrays, batch: Batch) -> float:
    """The loss alone."""
    if module.__name__.startswith("torchnet."):
        with torch.no_grad():
            return float(module.loss(module.from_arrays(parameters, dtype="float64"), _tensors(batch)))
    with jax.enable_x64(True):
        return float(_jitted(module.loss)(module.from_arrays(parameters, dtype="float64"), _jax_arrays(batch)))


_jitted = functools.cache(jax.jit)


def _tensors(batch: Batch) -> dict[str, torch.Tensor]:
    return {name: torch.tensor(array) for name, array in batch.items()}


def _jax_arrays(batch: Batch) -> dict[str, jax.Array]:
    return {name: jnp.asarray(array) for name, array in batch.items()}


def _leaves(model: Any) -> dict[str, torch.Tensor]:
    leaves = dict(model) if isinstance(model, dict) else dict(model.named_parameters())
    for leaf in leaves.values():
        leaf.requires_grad_(True)
    return leaves


def _torch_pass(module: ModuleType, parameters: Arrays, batch: Batch) -> Pass:
    model: Any = module.from_arrays(parameters, dtype="float64")
    leaves = _leaves(model)
    loss = module.loss(model, _tensors(batch))
    gradients = torch.autograd.grad(loss, list(leaves.values()))
    arrays = {name: gradient.numpy() for name, gradient in zip(leaves, gradients, strict=True)}
    return Pass(module.predict(model, _tensors(batch)).detach().numpy(), loss.item(), arrays)


def _jax_pass(module: ModuleType, parameters: Arrays, batch: Batch) -> Pass:
    with jax.enable_x64(True):
        model: Any = module.from_arrays(parameters, dtype="float64")
        loss, gradients = jax.value_and_grad(module.loss)(model, _jax_arrays(batch))
        output = module.predict(model, _jax_arrays(batch))
        return Pass(np.asarray(output), float(loss), module.to_arrays(gradients))


# Mistakes: each takes a wing's problem and gives one that makes it


def scaled(module: ModuleType, factor: float) -> ModuleType:
    """The mean where the sum was meant, the other way round, or the wrong sign."""
    return _changed(module, loss=lambda model, batch: factor * module.loss(model, batch))


def without_relu(module: ModuleType) -> ModuleType:
    """Every ReLU lets everything pass, by whatever name the wing calls it."""

    def identity(values: Any, *_: Any, **__: Any) -> Any:
        return values

    places = (torch, torch.Tensor, torch.nn.functional, jax.nn, nnx)

    def linear(right: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
        def function(model: Any, batch: Any) -> Any:
            with contextlib.ExitStack() as stack:
                for place in places:
                    stack.enter_context(mock.patch.object(place, "relu", identity))
                return right(model, batch)

        return function

    return _changed(module, loss=linear(module.loss), predict=linear(module.predict))


def without_bias_gradients(module: ModuleType) -> ModuleType:
    """The gradient of every bias (of c, in the line fit) is lost on the way back."""

    def from_arrays(*arguments: Any, **settings: Any) -> Any:
        model = module.from_arrays(*arguments, **settings)
        for name, leaf in _leaves(model).items():
            if _is_bias(name):
                leaf.register_hook(torch.zeros_like)  # type: ignore[no-untyped-call]
        return model

    def loss(model: Any, batch: Any) -> Any:
        def cut(path: Any, leaf: Any) -> Any:
            return jax.lax.stop_gradient(leaf) if _is_bias(jax.tree_util.keystr(path)) else leaf

        return module.loss(jax.tree_util.tree_map_with_path(cut, model), batch)

    on_torch = module.__name__.startswith("torchnet.")
    return _changed(module, from_arrays=from_arrays) if on_torch else _changed(module, loss=loss)


def _is_bias(name: str) -> bool:
    return "bias" in name or name in {"c", "['c']"}


def _changed(module: ModuleType, **parts: Any) -> ModuleType:
    changed = ModuleType(module.__name__)
    vars(changed).update(vars(module), **parts)
    return changed
