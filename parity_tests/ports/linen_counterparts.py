"""Layers of Flax Linen that do what torch's do, where Linen's own do something else."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from flax import linen as nn


class BatchNorm(nn.Module):
    """`torch.nn.BatchNorm1d`, `2d` and `3d` with running statistics, for arrays (batch, axes..., features).

    The running variance takes up the unbiased variance of the batch, as torch's does; that of `nn.BatchNorm` takes up
    the biased one. `momentum` is the share of the new batch.
    """

    momentum: float = 0.1
    epsilon: float = 1e-5

    @nn.compact
    def __call__(self, x: jax.Array, *, train: bool) -> jax.Array:
        features, count = x.shape[-1], x.size // x.shape[-1]
        mean = self.variable("batch_stats", "mean", jnp.zeros, features)
        var = self.variable("batch_stats", "var", jnp.ones, features)
        scale = self.param("scale", nn.initializers.ones, (features,))
        bias = self.param("bias", nn.initializers.zeros, (features,))
        if not train:
            return (x - mean.value) * jax.lax.rsqrt(var.value + self.epsilon) * scale + bias
        axes = tuple(range(x.ndim - 1))
        of_batch, spread = x.mean(axes), x.var(axes)
        if not self.is_initializing():
            for variable, new in ((mean, of_batch), (var, spread * count / (count - 1))):
                variable.value += self.momentum * (jax.lax.stop_gradient(new) - variable.value)
        return (x - of_batch) * jax.lax.rsqrt(spread + self.epsilon) * scale + bias
