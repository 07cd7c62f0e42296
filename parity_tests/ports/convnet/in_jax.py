"""The port of the convolutional net to Flax NNX. Its features are last, so that fc1 reads them in another order."""

from functools import partial

import jax
import jax.numpy as jnp
import optax
from flax import nnx

from parity_tests.ports.counterparts import BatchNorm

_max_pool = partial(nnx.max_pool, window_shape=(2, 2), strides=(2, 2))


class Net(nnx.Module):
    """Images (N, 28, 28, 1) to logits (N, 10)."""

    def __init__(self, rngs: nnx.Rngs) -> None:
        self.conv1 = nnx.Conv(1, 8, kernel_size=(3, 3), padding=1, rngs=rngs)
        self.bn1 = BatchNorm(8, rngs=rngs)
        self.conv2 = nnx.Conv(8, 16, kernel_size=(3, 3), padding=1, rngs=rngs)
        self.bn2 = BatchNorm(16, rngs=rngs)
        self.dropout = nnx.Dropout(0.25, rngs=rngs)
        self.fc1 = nnx.Linear(7 * 7 * 16, 32, rngs=rngs)
        self.fc2 = nnx.Linear(32, 10, rngs=rngs)

    def __call__(self, images: jax.Array) -> jax.Array:
        x = _max_pool(nnx.relu(self.bn1(self.conv1(images))))
        x = _max_pool(nnx.relu(self.bn2(self.conv2(x))))
        x = self.dropout(x)
        x = x.reshape(x.shape[0], -1)
        return self.fc2(nnx.relu(self.fc1(x)))


def loss(model: Net, batch: dict[str, jax.Array]) -> jax.Array:
    """The mean cross entropy."""
    logits = model(batch["images"].transpose(0, 2, 3, 1))
    return jnp.mean(optax.softmax_cross_entropy_with_integer_labels(logits, batch["labels"]))


def optimizer() -> optax.GradientTransformation:
    return optax.adam(1e-3)
