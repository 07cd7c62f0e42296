"""The small pair's JAX side in Flax Linen."""

from typing import Any

import jax
import jax.numpy as jnp
import optax
from flax import linen as nn

from parity_tests.parity.small_torch import CLASSES, HIDDEN
from parity_tests.ports.linen_counterparts import BatchNorm


class Small(nn.Module):
    """Linear, batch norm, ReLU, dropout, linear."""

    normalise: type[nn.Module] = BatchNorm
    dense: Any = nn.Dense
    rate: float = 0.25
    bias: bool = True

    def setup(self) -> None:
        self.inner = self.dense(HIDDEN)
        self.norm = self.normalise()
        self.dropout = nn.Dropout(self.rate)
        self.outer = nn.Dense(CLASSES, use_bias=self.bias)

    def __call__(self, inputs: jax.Array, train: bool) -> jax.Array:
        found = nn.relu(self.norm(self.inner(inputs), train=train))
        logits: jax.Array = self.outer(self.dropout(found, deterministic=not train))
        return logits


def cross_entropy(logits: jax.Array, batch: dict[str, jax.Array]) -> jax.Array:
    return jnp.mean(optax.softmax_cross_entropy_with_integer_labels(logits, batch["labels"]))


def loss(model: Small, batch: dict[str, jax.Array], train: bool) -> jax.Array:
    return cross_entropy(model(batch["inputs"], train=train), batch)


def optimizer() -> optax.GradientTransformation:
    return optax.sgd(0.1, momentum=0.9)
