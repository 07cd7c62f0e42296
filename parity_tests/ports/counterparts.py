"""Layers of Flax NNX that do what torch's do, where those of Flax do something else or do not exist.

Arrays have their features last, as everywhere in Flax. Where a counterpart extends a layer of Flax, all that is not
named here is that layer's.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx
from flax.nnx.nn.attention import dot_product_attention_weights

# Flax gives them no types.
_pool: Callable[..., jax.Array] = nnx.pool
_max_pool: Callable[..., jax.Array] = nnx.max_pool


class BatchNorm(nnx.BatchNorm):
    """`torch.nn.BatchNorm1d`, `2d` and `3d` with running statistics.

    `momentum` counts as torch's does: the share of the new batch, 0.1 here where Flax says 0.9 (and has 0.99 by
    default).
    The running variance takes up the unbiased variance of the batch, as torch's does. Flax's takes up the biased one:
    2e-3 off after one batch of 64 values a feature.
    The variance is the mean of the squared distances. Flax's is the mean of the squares less the square of the mean,
    which cancels: in float32, for a mean of 10 standard deviations, outputs 4e-5 off instead of 2e-6.

    Raises ValueError in training on a single value a feature, of which there is no unbiased variance.
    """

    def __init__(self, num_features: int, *, momentum: float = 0.1, epsilon: float = 1e-5, rngs: nnx.Rngs) -> None:
        super().__init__(num_features, momentum=1 - momentum, epsilon=epsilon, use_fast_variance=False, rngs=rngs)

    def __call__(self, x: jax.Array, use_running_average: bool | None = None) -> jax.Array:  # type: ignore[override]
        training = not (self.use_running_average if use_running_average is None else use_running_average)
        before, count = self.var[...], x.size // x.shape[-1]
        if training and count == 1:
            raise ValueError(f"shape {x.shape}: one value a feature; expected more of them in training")
        output: jax.Array = super().__call__(x, use_running_average)
        if training:
            taken_up = self.var[...] - self.momentum * before
            self.var[...] += jax.lax.stop_gradient(taken_up / (count - 1))
        return output


class Embed(nnx.Embed):
    """`torch.nn.Embedding`, with its padding index, whose row gets no gradient.

    Flax's knows no padding index, and casts to the dtype in which it was made: outside a check, where the engine has
    it follow its parameter, it gives float32 also with an embedding in float64.
    """

    def __init__(self, num_embeddings: int, features: int, *, padding_idx: int | None = None, rngs: nnx.Rngs) -> None:
        super().__init__(num_embeddings, features, rngs=rngs)
        self.dtype = None
        self.padding_idx = padding_idx

    def __call__(self, inputs: jax.Array, out_sharding: Any = None) -> jax.Array:
        output = super().__call__(inputs, out_sharding)
        if self.padding_idx is None:
            return output
        return jnp.where((inputs == self.padding_idx)[..., None], jax.lax.stop_gradient(output), output)


def dot_product_attention(query: jax.Array, key: jax.Array, value: jax.Array, **options: Any) -> jax.Array:
    """`torch.nn.functional.scaled_dot_product_attention`, for arrays (..., length, heads, features).

    Takes the options of `nnx.dot_product_attention`, and so may be the `attention_fn` of `nnx.MultiHeadAttention`.
    Flax's own, without dropout, is `jax.nn.dot_product_attention`, whose softmax is in float32 whatever the dtype of
    the arrays: 5e-8 off in float64.
    """
    weights = dot_product_attention_weights(query, key, **options)
    return jnp.einsum("...hqk,...khd->...qhd", weights, value)


class _Pool(nnx.Module):
    def __init__(self, window: tuple[int, ...], stride: int, padding: int = 0, *, ceil_mode: bool = False) -> None:
        self.window, self.stride, self.padding, self.ceil_mode = window, (stride,) * len(window), padding, ceil_mode

    def _ends(self, x: jax.Array) -> list[tuple[int, int]]:
        """The padding at both ends of every axis. Source: torch's pooling_output_shape, aten/src/ATen/native/Pool.h."""
        ends, low = [], self.padding
        for size, window, stride in zip(x.shape[1:-1], self.window, self.stride, strict=True):
            high = low
            if self.ceil_mode:
                last = -(-(size + 2 * low - window) // stride) * stride
                # A window that would begin behind the input is none.
                last -= stride if last >= size + low else 0
                high = max(last + window - size - low, low)
            ends.append((low, high))
        return ends


class MaxPool(_Pool):
    """`torch.nn.MaxPool1d`, `2d` and `3d`, for arrays (batch, axes of the window..., features).

    `padding` goes to both ends of every axis, as in torch. `nnx.max_pool` takes it too, spelt `((1, 1), (1, 1))`;
    "SAME" is something else: a window of 3 under stride 2 pads an axis of even size at its end only, and all windows
    begin one further.
    Flax has no `ceil_mode`, in which the last window may hang over the end.
    """

    def __call__(self, x: jax.Array) -> jax.Array:
        return _max_pool(x, self.window, self.stride, self._ends(x))


class AvgPool(_Pool):
    """`torch.nn.AvgPool1d`, `2d` and `3d`, as MaxPool.

    Torch divides by as much of the window as lies within the padded input. Flax has no `ceil_mode`, and divides by all
    of a window that hangs over.
    """

    def __init__(
        self,
        window: tuple[int, ...],
        stride: int,
        padding: int = 0,
        *,
        ceil_mode: bool = False,
        count_include_pad: bool = True,
    ) -> None:
        super().__init__(window, stride, padding, ceil_mode=ceil_mode)
        self.count_include_pad = count_include_pad

    def __call__(self, x: jax.Array) -> jax.Array:
        ones = jnp.ones_like(x[:1, ..., :1])
        return self._summed(x, 0) / self._summed(ones, 1 if self.count_include_pad else 0)

    def _summed(self, x: jax.Array, around: int) -> jax.Array:
        """The sums over all windows, where the padding has the value `around`."""
        padding = [(0, 0), *[(self.padding, self.padding)] * len(self.window), (0, 0)]
        over = [(0, high - low) for low, high in self._ends(x)]
        padded = jnp.pad(x, padding, constant_values=around)
        return _pool(padded, 0.0, jax.lax.add, self.window, self.stride, over)


class LSTM(nnx.Module):
    """One layer of `torch.nn.LSTM`: (N, T, inputs) to the hidden states (N, T, features), and the last (hidden, cell).

    It has two biases, and the gates packed in torch's order: input, forget, cell, output. Flax's cells have no bias for
    the input. Their one bias in place of torch's sum gives the same output, but takes one step of Adam where two
    biases take one each: half as far. `nnx.RNN` moreover begins with float32 zeros, the dtype in which its cell
    was made, and stops with an error where the parameters are float64.
    """

    def __init__(self, in_features: int, hidden_features: int, *, rngs: nnx.Rngs) -> None:
        self.dense_i = nnx.Linear(in_features, 4 * hidden_features, rngs=rngs)
        self.dense_h = nnx.Linear(hidden_features, 4 * hidden_features, rngs=rngs)

    def __call__(self, x: jax.Array) -> tuple[jax.Array, tuple[jax.Array, jax.Array]]:
        kernel, bias = _arrays(self.dense_h)

        def step(carry: tuple[jax.Array, jax.Array], given: jax.Array) -> tuple[tuple[jax.Array, jax.Array], jax.Array]:
            h, c = carry
            i, f, g, o = jnp.split(given + h @ kernel + bias, 4, axis=-1)
            c = nnx.sigmoid(f) * c + nnx.sigmoid(i) * jnp.tanh(g)
            h = nnx.sigmoid(o) * jnp.tanh(c)
            return (h, c), h

        given = self.dense_i(x).swapaxes(0, 1)
        start = jnp.zeros_like(given[0, :, : kernel.shape[0]])
        last, outputs = jax.lax.scan(step, (start, start), given)
        return outputs.swapaxes(0, 1), last


class GRU(nnx.Module):
    """One layer of `torch.nn.GRU`: (N, T, inputs) to the hidden states (N, T, features), and the last hidden state.

    It has two biases, and the gates packed in torch's order: reset, update, new. Flax's cell has no bias for the hidden
    state, and in the new gate no other can stand in for it, since the reset gate multiplies it. For `nnx.RNN` see LSTM.
    """

    def __init__(self, in_features: int, hidden_features: int, *, rngs: nnx.Rngs) -> None:
        self.dense_i = nnx.Linear(in_features, 3 * hidden_features, rngs=rngs)
        self.dense_h = nnx.Linear(hidden_features, 3 * hidden_features, rngs=rngs)

    def __call__(self, x: jax.Array) -> tuple[jax.Array, jax.Array]:
        kernel, bias = _arrays(self.dense_h)

        def step(h: jax.Array, given: jax.Array) -> tuple[jax.Array, jax.Array]:
            given_r, given_z, given_n = jnp.split(given, 3, axis=-1)
            hidden_r, hidden_z, hidden_n = jnp.split(h @ kernel + bias, 3, axis=-1)
            z = nnx.sigmoid(given_z + hidden_z)
            n = jnp.tanh(given_n + nnx.sigmoid(given_r + hidden_r) * hidden_n)
            h = (1 - z) * n + z * h
            return h, h

        given = self.dense_i(x).swapaxes(0, 1)
        last, outputs = jax.lax.scan(step, jnp.zeros_like(given[0, :, : kernel.shape[0]]), given)
        return outputs.swapaxes(0, 1), last


def _arrays(layer: nnx.Linear) -> tuple[jax.Array, jax.Array]:
    """What a loop needs of a layer: calls inside it would be seen by nobody who watches the layers."""
    assert layer.bias is not None
    return layer.kernel[...], layer.bias[...]
