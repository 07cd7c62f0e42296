"""Mistakes in ports of the sequence classifiers.

What goes wrong inside a recurrent layer is seen where its output goes: no single module of the JAX side stands for
torch's, so that the next place which both sides show is what goes into fc.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx

from parity_tests.ports.anywhere import Port, adam, losses_and_data
from parity_tests.ports.counterparts import Embed
from parity_tests.ports.planted import Mistake, Plant, drawn, entry, mapped, parts
from parity_tests.ports.planted_jax import Change, WithoutBias, become, model, replaced
from parity_tests.ports.planted_torch import have as torch_have
from parity_tests.ports.planted_torch import model as torch_model
from parity_tests.ports.recurrent import in_jax, in_torch
from parity_tests.ports.recurrent.in_jax import TOKENS, WIDTH, Classifier
from parity_tests.ports.recurrent.planted_cells import (
    BiasOutsideReset,
    GRUInParts,
    LSTMInParts,
    ResetBeforeProduct,
    TanhMissing,
    UpdateTheOtherWay,
    gradient_stopped,
    in_both,
    second_bias_fixed,
    state_in_float32,
    without_second_bias,
)


class Parted(Classifier):
    """The right classifier in parts, each of which a mistake may replace."""

    def __call__(self, tokens: jax.Array) -> jax.Array:
        x, _ = self.rnn(self.embedded(tokens))
        return self.fc(self.read(x))

    def embedded(self, tokens: jax.Array) -> jax.Array:
        return self.embedding(tokens)

    def read(self, x: jax.Array) -> jax.Array:
        return x[:, -1]


class FirstStepRead(Parted):
    def read(self, x: jax.Array) -> jax.Array:
        return x[:, 0]


class MeanRead(Parted):
    def read(self, x: jax.Array) -> jax.Array:
        return x.mean(axis=1)


class ScaledEmbedding(Parted):
    def embedded(self, tokens: jax.Array) -> jax.Array:
        output: jax.Array = WIDTH**0.5 * self.embedding(tokens)
        return output


class BatchForTime(Parted):
    """As torch reads (N, T, features) without `batch_first`."""

    def __call__(self, tokens: jax.Array) -> jax.Array:
        x, _ = self.rnn(self.embedding(tokens).swapaxes(0, 1))
        return self.fc(self.read(x.swapaxes(0, 1)))


_PORT = Port(
    inputs="tokens",
    labels="labels",
    loss=in_jax.loss,
    first="embedding.weight",
    last="fc.bias",
    last_in_jax="fc.bias",
    decayed="embedding.weight",
    vector="rnn.bias_ih_l0",
    drawn=1,
)


# Data, losses and the optimizer
_OUTSIDE = [
    Mistake("tokens counted from one", "jax", entry("tokens", lambda tokens: (tokens + 1) % TOKENS), "data", "tokens"),
    Mistake("tokens backwards", "torch", entry("tokens", lambda tokens: tokens[:, ::-1]), "data", "tokens"),
    *losses_and_data(_PORT),
    *adam(_PORT, rate=3e-3),
]


def _of_both(right: Callable[[nnx.Rngs], Classifier], torch: Callable[[], Any], cell: type[Any]) -> list[Mistake]:
    def net(*changes: Change) -> Plant:
        return parts(model=model(right, *changes))

    def inside(**changes: Any) -> Plant:
        return net(become("rnn", in_both(cell, **changes)))

    def embed(made: Callable[..., nnx.Embed], **options: Any) -> Plant:
        return net(replaced("embedding", lambda: made(TOKENS, WIDTH, rngs=nnx.Rngs(0), **options)))

    return [
        # Parameters
        Mistake("a recurrent kernel of zeros", "jax", drawn("rnn.weight_hh_l0", lambda kernel: 0 * kernel),
                "init", "rnn.weight_hh_l0", says="zero"),
        Mistake("the recurrent bias dropped", "jax", inside(hidden=without_second_bias), "forward", "fc.input"),
        Mistake("the recurrent bias taken for a constant", "jax", inside(hidden=second_bias_fixed),
                "backward", "rnn.bias_hh_l0", says="zero"),
        Mistake("the bias of fc dropped", "jax", net(become("fc", WithoutBias)), "forward", "fc.output"),
        # Layers
        Mistake("first time step for the last", "jax", net(become("", FirstStepRead)), "forward", "fc.input"),
        Mistake("mean over time for the last step", "jax", net(become("", MeanRead)), "forward", "fc.input"),
        Mistake("sequence read backwards", "jax", inside(backwards=True), "forward", "fc.input"),
        Mistake("examples taken for time steps", "jax", net(become("", BatchForTime)), "forward", "fc.input"),
        Mistake("examples taken for time steps", "torch",
                parts(model=torch_model(torch, torch_have("rnn", batch_first=False))), "forward", "fc.input"),
        Mistake("a start of ones", "jax", inside(start=1.0), "forward", "fc.input"),
        Mistake("hidden state in float32 inside a float64 run", "jax", inside(kept=state_in_float32),
                "forward", "fc.input"),
        Mistake("embedding scaled by the root of the width", "jax", net(become("", ScaledEmbedding)),
                "forward", "fc.input"),
        Mistake("embedding in bfloat16", "jax", embed(nnx.Embed, dtype=jnp.bfloat16), "forward", "embedding.output"),
        Mistake("token 0 taken for padding", "jax", embed(Embed, padding_idx=0), "backward", "embedding.weight"),
        Mistake("no gradient through time", "jax", inside(kept=gradient_stopped), "backward", "rnn.weight_ih_l0"),
        *_OUTSIDE,
    ]  # fmt: skip


def _lstm(cell: type[Any]) -> Plant:
    return parts(model=model(in_jax.lstm, become("rnn", cell)))


def _gru(cell: type[Any]) -> Plant:
    return parts(model=model(in_jax.gru, become("rnn", cell)))


_EXCHANGED = {
    "rnn.weight_ih_l0": "rnn.dense_i.kernel: transpose",
    "rnn.weight_hh_l0": "rnn.dense_h.kernel: transpose",
    "rnn.bias_ih_l0": "rnn.dense_h.bias",
    "rnn.bias_hh_l0": "rnn.dense_i.bias",
}
LSTM = [
    Mistake("gates in the order input, forget, output, cell", "jax", _lstm(in_both(LSTMInParts, order=(0, 1, 3, 2))),
            "forward", "fc.input"),
    Mistake("forget gate before the input gate", "jax", _lstm(in_both(LSTMInParts, order=(1, 0, 2, 3))),
            "forward", "fc.input"),
    Mistake("a forget bias of 1", "jax", _lstm(in_both(LSTMInParts, forget_bias=1.0)), "forward", "fc.input"),
    Mistake("tanh of the cell missing", "jax", _lstm(TanhMissing), "forward", "fc.input"),
    *_of_both(in_jax.lstm, in_torch.lstm, LSTMInParts),
]  # fmt: skip
GRU = [
    Mistake("update gate before the reset gate", "jax", _gru(in_both(GRUInParts, order=(1, 0, 2))),
            "forward", "fc.input"),
    Mistake("state reset before the product", "jax", _gru(ResetBeforeProduct), "forward", "fc.input"),
    Mistake("update gate the other way round", "jax", _gru(UpdateTheOtherWay), "forward", "fc.input"),
    Mistake("one bias, which is not reset", "jax", _gru(BiasOutsideReset), "forward", "fc.input"),
    Mistake("the two biases exchanged", "jax",
            mapped(_EXCHANGED), "forward", "fc.input"),
    *_of_both(in_jax.gru, in_torch.gru, GRUInParts),
]  # fmt: skip
