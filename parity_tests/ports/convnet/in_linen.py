"""The port of the convolutional net to Flax Linen, whose layers have the names that Linen gives them."""

from functools import partial

import jax
import jax.numpy as jnp
import optax
from flax import linen as nn

from parity_tests.ports.linen_counterparts import BatchNorm

_max_pool = partial(nn.max_pool, window_shape=(2, 2), strides=(2, 2))


class Net(nn.Module):
    """Images (N, 28, 28, 1) to logits (N, 10)."""

    @nn.compact
    def __call__(self, images: jax.Array, *, train: bool) -> jax.Array:
        x = nn.Conv(8, kernel_size=(3, 3), padding=1)(images)
        x = _max_pool(nn.relu(BatchNorm()(x, train=train)))
        x = nn.Conv(16, kernel_size=(3, 3), padding=1)(x)
        x = _max_pool(nn.relu(BatchNorm()(x, train=train)))
        x = nn.Dropout(0.25)(x, deterministic=not train)
        x = x.reshape(x.shape[0], -1)
        x = nn.relu(nn.Dense(32)(x))
        logits: jax.Array = nn.Dense(10)(x)
        return logits


def loss(model: Net, batch: dict[str, jax.Array], train: bool) -> jax.Array:
    """The mean cross entropy."""
    logits = model(batch["images"].transpose(0, 2, 3, 1), train=train)
    return jnp.mean(optax.softmax_cross_entropy_with_integer_labels(logits, batch["labels"]))


def optimizer() -> optax.GradientTransformation:
    return optax.adam(1e-3)
