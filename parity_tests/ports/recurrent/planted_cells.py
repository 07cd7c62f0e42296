"""Recurrent layers with a mistake inside: an LSTM and a GRU over the arrays of the right ones, taken apart."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx

from parity_tests.ports.counterparts import GRU, LSTM
from parity_tests.ports.planted_jax import in_float32


class LSTMInParts(LSTM):
    """The right LSTM in parts, each of which a mistake may replace."""

    order = (0, 1, 2, 3)
    forget_bias = 0.0
    start = 0.0
    backwards = False

    def __call__(self, x: jax.Array) -> tuple[jax.Array, tuple[jax.Array, jax.Array]]:
        kernel, bias = self.hidden()
        given = self.dense_i(x).swapaxes(0, 1)

        def step(carry: tuple[jax.Array, jax.Array], given: jax.Array) -> tuple[tuple[jax.Array, jax.Array], jax.Array]:
            h, c = carry
            gates = jnp.split(given + h @ kernel + bias, 4, axis=-1)
            i, f, g, o = (gates[index] for index in self.order)
            c = nnx.sigmoid(f + self.forget_bias) * c + nnx.sigmoid(i) * jnp.tanh(g)
            h = self.kept(nnx.sigmoid(o) * self.squashed(c))
            return (h, c), h

        zeros = jnp.full_like(given[0, :, : kernel.shape[0]], self.start)
        last, outputs = jax.lax.scan(step, (zeros, zeros), given, reverse=self.backwards)
        return outputs.swapaxes(0, 1), last

    def hidden(self) -> tuple[jax.Array, jax.Array]:
        return _arrays(self.dense_h)

    def squashed(self, c: jax.Array) -> jax.Array:
        return jnp.tanh(c)

    def kept(self, h: jax.Array) -> jax.Array:
        return h


class GRUInParts(GRU):
    """The right GRU in parts, each of which a mistake may replace."""

    order = (0, 1, 2)
    start = 0.0
    backwards = False

    def __call__(self, x: jax.Array) -> tuple[jax.Array, jax.Array]:
        kernel, bias = self.hidden()
        given = self.dense_i(x).swapaxes(0, 1)

        def step(h: jax.Array, given: jax.Array) -> tuple[jax.Array, jax.Array]:
            of_input, of_state = jnp.split(given, 3, axis=-1), jnp.split(h @ kernel + bias, 3, axis=-1)
            r, z, n = ((of_input[index], of_state[index]) for index in self.order)
            reset = nnx.sigmoid(sum(r))
            new = jnp.tanh(n[0] + self.reset(reset, h, n[1], kernel, bias))
            h = self.kept(self.mixed(nnx.sigmoid(sum(z)), new, h))
            return h, h

        zeros = jnp.full_like(given[0, :, : kernel.shape[0]], self.start)
        last, outputs = jax.lax.scan(step, zeros, given, reverse=self.backwards)
        return outputs.swapaxes(0, 1), last

    def hidden(self) -> tuple[jax.Array, jax.Array]:
        return _arrays(self.dense_h)

    def reset(
        self, reset: jax.Array, h: jax.Array, product: jax.Array, kernel: jax.Array, bias: jax.Array
    ) -> jax.Array:
        return reset * product

    def mixed(self, z: jax.Array, new: jax.Array, h: jax.Array) -> jax.Array:
        return (1 - z) * new + z * h

    def kept(self, h: jax.Array) -> jax.Array:
        return h


def _arrays(layer: nnx.Linear) -> tuple[jax.Array, jax.Array]:
    assert layer.bias is not None
    return layer.kernel[...], layer.bias[...]


# Of both


def in_both(right: type[Any], **changes: Any) -> type[Any]:
    """A layer in parts some of which are others."""
    return type("Wrong", (right,), changes)


def without_second_bias(layer: Any) -> tuple[jax.Array, jax.Array]:
    kernel, bias = _arrays(layer.dense_h)
    return kernel, 0 * bias


def second_bias_fixed(layer: Any) -> tuple[jax.Array, jax.Array]:
    """The second bias is taken for a constant."""
    kernel, bias = _arrays(layer.dense_h)
    return kernel, jax.lax.stop_gradient(bias)


def state_in_float32(layer: Any, h: jax.Array) -> jax.Array:
    return in_float32(h)


def gradient_stopped(layer: Any, h: jax.Array) -> jax.Array:
    """No gradient through time, nor to anything before the output."""
    return jax.lax.stop_gradient(h)


# Of the LSTM


class TanhMissing(LSTMInParts):
    def squashed(self, c: jax.Array) -> jax.Array:
        return c


# Of the GRU


class ResetBeforeProduct(GRUInParts):
    """As in the paper, and in Keras with `reset_after=False`: the state is reset before it meets the kernel."""

    def reset(
        self, reset: jax.Array, h: jax.Array, product: jax.Array, kernel: jax.Array, bias: jax.Array
    ) -> jax.Array:
        new = slice(2 * h.shape[-1], None)
        return (reset * h) @ kernel[:, new] + bias[new]


class UpdateTheOtherWay(GRUInParts):
    def mixed(self, z: jax.Array, new: jax.Array, h: jax.Array) -> jax.Array:
        return z * new + (1 - z) * h


class BiasOutsideReset(GRUInParts):
    """One bias for both, as Flax's cell has it in its new gate: the reset gate does not multiply it."""

    def reset(
        self, reset: jax.Array, h: jax.Array, product: jax.Array, kernel: jax.Array, bias: jax.Array
    ) -> jax.Array:
        own = bias[2 * h.shape[-1] :]
        return reset * (product - own) + own
