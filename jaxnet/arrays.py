"""Parameters and optimizer state as NumPy arrays under one naming and layout: that of PyTorch.

A weight is (outputs, inputs) and called `fc1.weight`. What comes in is checked by name, shape and dtype.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Float, Shaped

from jaxnet.settings import device_of, dtype_of

Array = Shaped[np.ndarray, "..."]
Arrays = dict[str, Array]
Batch = dict[str, Shaped[jax.Array, "..."]]
Rate = float | Float[jax.Array, ""]
Module = TypeVar("Module", bound=nnx.Module)


class State(NamedTuple):
    """Where a run stands between two steps. `optimizer` is {} where nothing is remembered.

    Adam remembers `step` (int64, how many it has taken), `exp_avg.<parameter>` and `exp_avg_sq.<parameter>`.
    """

    parameters: Arrays
    optimizer: Arrays


Start = tuple[Arrays, Arrays]
"""A state to start from: parameters and optimizer, a `State` or another package's pair of them."""


class Run(NamedTuple):
    """What a loop gives back: the loss of every step it took, before the step, and the state after the last."""

    losses: Float[np.ndarray, count]
    state: State


class Moments(NamedTuple):
    """Adam's memory: the steps it has taken, and the running means of the gradients and of their squares."""

    step: int
    exp_avg: Arrays
    exp_avg_sq: Arrays


def checked(arrays: Arrays, shapes: dict[str, tuple[int, ...]], dtype: str) -> Arrays:
    """Exactly the arrays that `shapes` names, in its order, in `dtype`.

    An array in `dtype` passes bit for bit, and one in float64 is rounded once. Raises ValueError, which names the
    entry, for a name missing or unexpected, for another shape, and for any other dtype.
    """
    dtype_of(dtype)
    for name in arrays:
        if name not in shapes:
            raise ValueError(f"{name}: unexpected; expected {', '.join(shapes)}")
    for name, shape in shapes.items():
        if name not in arrays:
            raise ValueError(f"{name}: missing; expected {', '.join(shapes)}")
        if arrays[name].shape != shape:
            raise ValueError(f"{name}: shape {arrays[name].shape}; expected {shape}")
        if arrays[name].dtype not in (np.dtype(dtype), np.dtype("float64")):
            raise ValueError(f"{name}: dtype {arrays[name].dtype}; expected {dtype}, or float64 to be rounded to it")
    return {name: arrays[name].astype(dtype, copy=False) for name in shapes}


def moments_from_state(state: State, dtype: str) -> Moments:
    """Adam's memory out of a state, in `dtype`; zeros and no step where the state remembers nothing.

    Raises ValueError, which names the entry, where it is not Adam's memory of the state's parameters.
    """
    parameters, averages = state.parameters.items(), ("exp_avg", "exp_avg_sq")
    shapes = {f"{average}.{name}": array.shape for average in averages for name, array in parameters}
    given = state.optimizer or {name: np.zeros(shape, dtype) for name, shape in shapes.items()}
    step = state.optimizer.get("step", None if state.optimizer else np.array(0))
    if step is None or step.dtype.kind != "i" or step.shape != ():
        raise ValueError("step: missing or no single integer; expected the number of steps that Adam has taken")
    arrays = checked({name: array for name, array in given.items() if name != "step"}, shapes, dtype)
    return Moments(int(step), *({name: arrays[f"{average}.{name}"] for name, _ in parameters} for average in averages))


def moments_to_arrays(moments: Moments) -> Arrays:
    """Adam's memory under the names that it has in a state."""
    arrays: Arrays = {"step": np.array(moments.step, "int64")}
    arrays |= {f"exp_avg.{name}": array for name, array in moments.exp_avg.items()}
    arrays |= {f"exp_avg_sq.{name}": array for name, array in moments.exp_avg_sq.items()}
    return arrays


def to_device(arrays: Arrays, dtype: str, device: str) -> Batch:
    """Tensors of their own memory on a device: floats in `dtype`, whole numbers as the framework indexes with them."""
    # The copy is made by NumPy: JAX makes its own later, or none, and the caller may change the array before.
    floats, place = dtype_of(dtype), device_of(device)
    copies = {
        name: np.array(array, floats if array.dtype.kind == "f" else None, order="C") for name, array in arrays.items()
    }
    with jax.enable_x64(dtype == "float64"), jax.default_device(place):
        tensors: Batch = jax.device_put(copies)
        return tensors


def to_host(tensors: Batch) -> Arrays:
    """NumPy arrays of their own memory."""
    return {name: np.array(tensor) for name, tensor in tensors.items()}


def module_from_arrays(kind: Callable[..., Module], parameters: Arrays, dtype: str, device: str) -> Module:
    """A module of linear layers with these parameters, built without drawing any.

    Raises ValueError as `checked` does.
    """
    module: Module = jax.tree.map(lambda leaf: leaf, _outline(kind, dtype))
    layers = _layers(module)
    shapes: dict[str, tuple[int, ...]] = {}
    for name, layer in layers.items():
        shapes |= {f"{name}.weight": layer.kernel.shape[::-1], f"{name}.bias": layer.bias.shape}
    arrays = checked(parameters, shapes, dtype)
    # A Flax kernel is (inputs, outputs).
    tensors = to_device({name: array.T for name, array in arrays.items()}, dtype, device)
    for name, layer in layers.items():
        layer.kernel.set_value(tensors[f"{name}.weight"])
        layer.bias.set_value(tensors[f"{name}.bias"])
    return module


def module_to_arrays(module: nnx.Module) -> Arrays:
    """The parameters of a module of linear layers."""
    arrays: Arrays = {}
    for name, layer in _layers(module).items():
        arrays |= {f"{name}.weight": np.array(layer.kernel[...]).T.copy(), f"{name}.bias": np.array(layer.bias[...])}
    return arrays


@functools.cache
def _outline(kind: Callable[..., Module], dtype: str) -> Module:
    """The module with shapes where its parameters go. `param_dtype` would stay float32 under 64-bit JAX."""
    with jax.enable_x64(dtype == "float64"):
        outline: Module = nnx.eval_shape(lambda: kind(nnx.Rngs(0), param_dtype=jnp.dtype(dtype)))
        return outline


def _layers(module: nnx.Module) -> dict[str, Any]:
    return {str(name): layer for name, layer in nnx.iter_children(module) if isinstance(layer, nnx.Linear)}
