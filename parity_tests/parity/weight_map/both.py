"""A torch model and its JAX counterpart under one weight map: numbers drawn, carried over, carried back, both run."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import torch
from flax import nnx
from torch import nn

from parity.jax_side.outline import outline as jax_outline
from parity.recording import Array, Arrays
from parity.torch_side.outline import outline as torch_outline
from parity.weight_map.find import find
from parity.weight_map.weight_map import WeightMap


def drawn(model: nn.Module, seed: int = 0) -> Arrays:
    """Give a torch model float64 numbers in which nothing is symmetric; variances stay positive."""
    generator = np.random.default_rng(seed)
    model.double()
    with torch.no_grad():
        for tensor in [*model.parameters(), *(b for b in model.buffers() if b.is_floating_point())]:
            tensor.copy_(torch.from_numpy(generator.uniform(0.2, 1, tensor.shape)))
    named = [*model.named_parameters(), *model.named_buffers()]
    return {name: tensor.detach().numpy().copy() for name, tensor in named}


def shaped(model: Callable[[nnx.Rngs], Any]) -> Any:
    """A JAX model with shapes for its leaves, which takes no time to draw."""
    return nnx.eval_shape(lambda: model(nnx.Rngs(0)))


def filled(model: Any, leaves: Arrays) -> Any:
    """A JAX model with these leaves; every one that it has must be among them, and they must have its shape."""
    state = nnx.state(model, nnx.Not(nnx.RngState))
    for path, variable in nnx.to_flat_state(state):
        leaf = leaves[".".join(map(str, path))]
        assert leaf.shape == variable.get_value().shape
        variable.set_value(jnp.asarray(leaf))
    streams = nnx.state(model, nnx.RngState)
    for _, stream in nnx.to_flat_state(streams):
        stream.set_value(jax.random.key(0) if isinstance(stream, nnx.RngKey) else jnp.uint32(0))
    nnx.update(model, state, streams)
    return model


def channels_last(array: Array) -> Array:
    return np.moveaxis(array, 1, -1) if array.ndim > 2 else array


def mapped(of_torch: nn.Module, of_jax: Any, overrides: Mapping[str, str] | None = None) -> WeightMap:
    return find(torch_outline(of_torch), jax_outline(of_jax), overrides or {})


def carried(weights: WeightMap, arrays: Arrays) -> Arrays:
    """The JAX leaves of torch tensors, after a look at whether they come back bit for bit."""
    leaves = weights.to_jax(arrays)
    back = weights.to_torch(leaves)
    apart = {*weights.apart.torch, *weights.apart.zero}
    assert back.keys() == arrays.keys() - apart
    for name, array in back.items():
        assert array.dtype == arrays[name].dtype
        assert array.tobytes() == arrays[name].tobytes()
    return leaves


def outputs_agree(of_torch: Any, of_jax: Any, inputs: Array, *, images: bool = False) -> bool:
    """Whether both give the same output to rounding; `images` have their channels second in torch and last in JAX."""
    with torch.no_grad():
        expected = of_torch(torch.from_numpy(inputs)).numpy()
    with jax.enable_x64(True):
        run = nnx.jit(lambda model, given: model(given))
        found = np.asarray(run(of_jax, jnp.asarray(channels_last(inputs) if images else inputs)))
    expected = channels_last(expected) if images else expected
    assert found.dtype == expected.dtype == np.float64
    assert found.shape == expected.shape
    return bool(np.max(np.abs(found - expected)) <= 1e-12 * np.max(np.abs(expected)))
