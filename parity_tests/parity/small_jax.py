"""The JAX side of the small pair."""

import jax
import jax.numpy as jnp
import optax
from flax import nnx

from parity_tests.ports.counterparts import BatchNorm

FEATURES, HIDDEN, CLASSES = 5, 6, 3


class Small(nnx.Module):
    """Linear, batch norm, ReLU, dropout, linear."""

    def __init__(self, rngs: nnx.Rngs) -> None:
        self.inner = nnx.Linear(FEATURES, HIDDEN, rngs=rngs)
        self.norm = BatchNorm(HIDDEN, rngs=rngs)
        self.dropout = nnx.Dropout(0.25, rngs=rngs)
        self.outer = nnx.Linear(HIDDEN, CLASSES, rngs=rngs)

    def __call__(self, inputs: jax.Array) -> jax.Array:
        return self.outer(self.dropout(nnx.relu(self.norm(self.inner(inputs)))))


def loss(model: Small, batch: dict[str, jax.Array]) -> jax.Array:
    losses = optax.softmax_cross_entropy_with_integer_labels(model(batch["inputs"]), batch["labels"])
    return jnp.mean(losses)


def optimizer() -> optax.GradientTransformation:
    return optax.sgd(0.1, momentum=0.9)


def halved(model: Small, batch: dict[str, jax.Array]) -> jax.Array:
    """A wrong loss: half of the right one."""
    return loss(model, batch) / 2
