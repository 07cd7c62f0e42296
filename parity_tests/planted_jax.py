"""Mistakes planted into a JAX side: each function takes the right part of a side and gives the wrong one."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any
from unittest import mock

import jax
import jax.numpy as jnp
import optax
from flax import nnx

from parity.jax_side.layers import rounded
from parity.recording import Arrays

LayerChange = Callable[[nnx.Linear, jax.Array, jax.Array], jax.Array]
"""(layer, its input, its right output) -> its wrong output."""


@cache
def _changed(change: LayerChange) -> type[nnx.Linear]:
    class Changed(nnx.Linear):
        def __call__(self, inputs: jax.Array) -> jax.Array:  # type: ignore[override]
            return change(self, inputs, super().__call__(inputs))

    return Changed


def changed_layer(right: Callable[..., Any], layer: str, change: LayerChange) -> Callable[..., Any]:
    """A model whose layer of that name gives another output."""

    def model(parameters: Arrays, dtype: str, device: str) -> Any:
        built = right(parameters, dtype, device)
        object.__setattr__(getattr(built, layer), "__class__", _changed(change))
        return built

    return model


def without_bias(layer: nnx.Linear, given: jax.Array, output: jax.Array) -> jax.Array:
    assert layer.bias is not None
    return output - layer.bias[...]


def in_float32(layer: nnx.Linear, given: jax.Array, output: jax.Array) -> jax.Array:
    return output.astype(jnp.float32).astype(output.dtype)


def with_nan(layer: nnx.Linear, given: jax.Array, output: jax.Array) -> jax.Array:
    return output + jnp.zeros_like(output).at[0, 0].set(jnp.nan)


def in_tf32(layer: nnx.Linear, given: jax.Array, output: jax.Array) -> jax.Array:
    """What a product with 10 mantissa bits gives, where float32 was meant."""
    if output.dtype != jnp.float32:
        return output
    assert layer.bias is not None
    return rounded(given, 10) @ rounded(layer.kernel[...], 10) + layer.bias[...]


def without_relu(right: Callable[..., jax.Array]) -> Callable[..., jax.Array]:
    """A loss or prediction computed where every ReLU lets everything pass."""

    def function(*arguments: Any) -> jax.Array:
        with mock.patch.object(jax.nn, "relu", _identity), mock.patch.object(nnx, "relu", _identity):
            return right(*arguments)

    return function


def _identity(array: jax.Array) -> jax.Array:
    return array


def adam(learning_rate: float = 0.03, eps: float = 1e-8) -> Callable[[], optax.GradientTransformation]:
    """The optimizer of the nets with other options."""
    return lambda: optax.adam(learning_rate, eps=eps)


def wrong_adam(correction: Callable[[float, jax.Array], Any]) -> Callable[[], optax.GradientTransformation]:
    """Adam whose bias corrections come out of `correction`, (beta, step) -> number; its state is Optax's."""

    def update(gradients: Any, state: optax.ScaleByAdamState, parameters: Any = None) -> tuple[Any, Any]:
        count = state.count + 1
        first = jax.tree.map(lambda m, g: 0.9 * m + 0.1 * g, state.mu, gradients)
        second = jax.tree.map(lambda v, g: 0.999 * v + 0.001 * g * g, state.nu, gradients)
        by_first, by_second = correction(0.9, count), correction(0.999, count)

        def change(m: jax.Array, v: jax.Array) -> jax.Array:
            changed: jax.Array = (-0.03 * (m / by_first) / (jnp.sqrt(v / by_second) + 1e-8)).astype(m.dtype)
            return changed

        return jax.tree.map(change, first, second), optax.ScaleByAdamState(count, first, second)

    return lambda: optax.GradientTransformation(optax.scale_by_adam().init, update)


def no_correction(beta: float, step: jax.Array) -> float:
    return 1.0


def correction_in_float32(beta: float, step: jax.Array) -> jax.Array:
    return 1 - jnp.asarray(beta, jnp.float32) ** step.astype(jnp.float32)


def moving_only(model: Callable[..., Any], moving: Arrays) -> Callable[[], optax.GradientTransformation]:
    """Adam whose updates are multiplied by `moving`, 1 or 0 for every parameter."""

    def update(updates: Any, parameters: Any = None) -> Any:
        mask = model(moving, "float64" if jax.config.values["jax_enable_x64"] else "float32", "cpu")
        return jax.tree.map(jnp.multiply, updates, mask)

    return lambda: optax.chain(optax.adam(0.03), optax.stateless(update))
