"""The port of the sequence classifiers to Flax NNX, with recurrent layers that have torch's two biases."""

import jax
import jax.numpy as jnp
import optax
from flax import nnx

from parity_tests.ports.counterparts import GRU, LSTM

TOKENS, WIDTH, FEATURES, CLASSES = 20, 8, 12, 4


class Classifier(nnx.Module):
    """Tokens (N, T) below 20 to logits (N, 4)."""

    def __init__(self, kind: type[LSTM] | type[GRU], rngs: nnx.Rngs) -> None:
        self.embedding = nnx.Embed(TOKENS, WIDTH, rngs=rngs)
        self.rnn = kind(WIDTH, FEATURES, rngs=rngs)
        self.fc = nnx.Linear(FEATURES, CLASSES, rngs=rngs)

    def __call__(self, tokens: jax.Array) -> jax.Array:
        x, _ = self.rnn(self.embedding(tokens))
        return self.fc(x[:, -1])


def lstm(rngs: nnx.Rngs) -> Classifier:
    return Classifier(LSTM, rngs)


def gru(rngs: nnx.Rngs) -> Classifier:
    return Classifier(GRU, rngs)


def loss(model: Classifier, batch: dict[str, jax.Array]) -> jax.Array:
    """The mean cross entropy."""
    return jnp.mean(optax.softmax_cross_entropy_with_integer_labels(model(batch["tokens"]), batch["labels"]))


def optimizer() -> optax.GradientTransformation:
    return optax.adam(3e-3)
