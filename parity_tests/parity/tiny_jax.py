"""The JAX side of the tiny pair."""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx

from parity.recording import Arrays
from parity_tests.parity.tiny_draws import CLASSES, FEATURES, batches, draw_parameters, scored

__all__ = ["Tiny", "batches", "draw_parameters", "from_arrays", "loss", "optimizer", "predict", "scored", "to_arrays"]


class Tiny(nnx.Module):
    """Linear, ReLU, Linear."""

    def __init__(self) -> None:
        rngs = nnx.Rngs(0)
        self.inner = nnx.Linear(FEATURES, FEATURES, rngs=rngs)
        self.outer = nnx.Linear(FEATURES, CLASSES, rngs=rngs)

    def __call__(self, inputs: jax.Array) -> jax.Array:
        return self.outer(nnx.relu(self.inner(inputs)))


def from_arrays(parameters: Arrays, dtype: str, device: str) -> Tiny:
    model: Tiny = jax.tree.map(lambda leaf: leaf, _outline())
    for layer in ("inner", "outer"):
        getattr(model, layer).kernel.set_value(jnp.asarray(parameters[f"{layer}.weight"].T, dtype))
        getattr(model, layer).bias.set_value(jnp.asarray(parameters[f"{layer}.bias"], dtype))
    return model


@functools.cache
def _outline() -> Tiny:
    """The module with shapes where its parameters go: a fifth of a check of it would go by for making it again."""
    outline: Tiny = nnx.eval_shape(Tiny)
    return outline


def to_arrays(model: Any) -> Arrays:
    found: Arrays = {}
    for layer in ("inner", "outer"):
        found[f"{layer}.weight"] = np.asarray(getattr(model, layer).kernel[...]).T
        found[f"{layer}.bias"] = np.asarray(getattr(model, layer).bias[...])
    return found


def predict(model: Tiny, batch: dict[str, jax.Array]) -> jax.Array:
    return model(batch["inputs"])


def loss(model: Tiny, batch: dict[str, jax.Array]) -> jax.Array:
    losses = optax.softmax_cross_entropy_with_integer_labels(predict(model, batch), batch["labels"])
    return jnp.mean(losses)


def optimizer() -> optax.GradientTransformation:
    return optax.adam(0.03)
