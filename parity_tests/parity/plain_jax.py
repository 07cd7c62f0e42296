"""The JAX side of the plain pair: functions of parameters, in the trees that their users have them in."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import optax

from parity_tests.parity.plain_torch import CLASSES, FEATURES

Batch = dict[str, jax.Array]


def cross_entropy(logits: jax.Array, batch: Batch) -> jax.Array:
    return jnp.mean(optax.softmax_cross_entropy_with_integer_labels(logits, batch["labels"]))


def optimizer() -> optax.GradientTransformation:
    return optax.adam(0.03)


# As Haiku has them: a weight is (in, out)


def haiku() -> dict[str, dict[str, jax.Array]]:
    return {
        "plain/~/inner": {"w": jnp.zeros((FEATURES, FEATURES)), "b": jnp.zeros(FEATURES)},
        "plain/~/outer": {"w": jnp.zeros((FEATURES, CLASSES)), "b": jnp.zeros(CLASSES)},
    }


def haiku_predict(parameters: dict[str, dict[str, jax.Array]], batch: Batch) -> jax.Array:
    inner, outer = parameters.values()
    return jnp.tanh(batch["inputs"] @ inner["w"] + inner["b"]) @ outer["w"] + outer["b"]


def haiku_loss(parameters: dict[str, dict[str, jax.Array]], batch: Batch) -> jax.Array:
    return cross_entropy(haiku_predict(parameters, batch), batch)


# As Equinox has them: a weight is (out, in), and leaves that are no arrays stand beside it


@jax.tree_util.register_dataclass
@dataclass
class Linear:
    """A layer for one example."""

    weight: jax.Array
    bias: jax.Array
    in_features: int

    @classmethod
    def drawn(cls, inputs: int, outputs: int) -> Linear:
        key = jax.random.key(0)
        return cls(jax.random.normal(key, (outputs, inputs)), jax.random.normal(key, (outputs,)), inputs)

    def __call__(self, x: jax.Array) -> jax.Array:
        assert x.shape == (self.in_features,)
        return self.weight @ x + self.bias


@jax.tree_util.register_dataclass
@dataclass
class Plain:
    """The whole model, with its activation, its settings and a table of whole numbers among its leaves."""

    layers: tuple[Linear, Linear]
    activation: Callable[[jax.Array], jax.Array]
    order: jax.Array
    name: str | None = None

    def __call__(self, x: jax.Array) -> jax.Array:
        inner, outer = self.layers
        return outer(self.activation(inner(x[self.order])))


def equinox() -> Plain:
    layers = Linear.drawn(FEATURES, FEATURES), Linear.drawn(FEATURES, CLASSES)
    return Plain(layers, jnp.tanh, jnp.arange(FEATURES))


def equinox_predict(model: Plain, batch: Batch) -> Any:
    return jax.vmap(model)(batch["inputs"])


def equinox_loss(model: Plain, batch: Batch) -> jax.Array:
    return cross_entropy(equinox_predict(model, batch), batch)
