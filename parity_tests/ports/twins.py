"""Layers of Flax NNX that do what torch's do, where those of Flax do something else or do not exist.

Arrays have their features last, as everywhere in Flax. Where a twin extends a layer of Flax, all that is not named here
is that layer's.
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx
from flax.nnx.nn.attention import dot_product_attention_weights


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

    Flax's casts to the dtype in which it was made: with an embedding in float64 in the place of its own it still gives
    float32, up to 6e-8 off. It knows no padding index.
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
