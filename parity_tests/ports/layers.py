"""The table of layers: each layer of torch that has parameters, alone beside its counterpart."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import torch
from flax import nnx
from torch import Tensor, nn

from parity_tests.ports import counterparts
from parity_tests.ports.layer_case import Array, LayerCase, channels, features, sequence, tokens

AXES = (1, 2, 3)
CONVOLUTIONS: dict[str, dict[str, Any]] = {
    "plain": {},
    "stride and padding": {"stride": 2, "padding": 1},
    "dilation": {"dilation": 2, "padding": 2},
    "groups": {"groups": 2, "bias": False},
    "all": {"stride": 2, "padding": 2, "dilation": 2, "groups": 2},
}
TRANSPOSED: dict[str, dict[str, Any]] = {
    "plain": {},
    "stride and padding": {"stride": 2, "padding": 1},
    "output padding and dilation": {"stride": 3, "padding": 2, "output_padding": 1, "dilation": 2},
}


def _convolution(axes: int, title: str) -> LayerCase:
    told = CONVOLUTIONS[title]

    def in_jax(rngs: nnx.Rngs) -> nnx.Module:
        return nnx.Conv(
            4,
            6,
            (3,) * axes,
            strides=told.get("stride", 1),
            padding=told.get("padding", 0),
            kernel_dilation=told.get("dilation", 1),
            feature_group_count=told.get("groups", 1),
            use_bias=told.get("bias", True),
            rngs=rngs,
        )

    return LayerCase(
        f"Conv{axes}d, {title}",
        lambda: getattr(nn, f"Conv{axes}d")(4, 6, 3, **told),
        in_jax,
        channels(4, axes),
        channels_last=True,
        missing='padding="SAME", which is Flax\'s default, pads an axis of even size under stride 2 at its end only',
    )


def _transposed(axes: int, title: str) -> LayerCase:
    told = TRANSPOSED[title]
    dilation = told.get("dilation", 1)
    low = dilation * 2 - told.get("padding", 0)
    ends = (low, low + told.get("output_padding", 0))

    def in_jax(rngs: nnx.Rngs) -> nnx.Module:
        return nnx.ConvTranspose(
            4,
            6,
            (3,) * axes,
            strides=told.get("stride", 1),
            padding=[ends] * axes,
            kernel_dilation=dilation,
            transpose_kernel=True,
            rngs=rngs,
        )

    return LayerCase(
        f"ConvTranspose{axes}d, {title}",
        lambda: getattr(nn, f"ConvTranspose{axes}d")(4, 6, 3, **told),
        in_jax,
        channels(4, axes),
        channels_last=True,
        missing="no groups; the padding is dilation * (kernel - 1) less torch's, output_padding is added at the end; "
        "without transpose_kernel=True the kernel is mirrored",
    )


def _batch_norm(axes: int) -> LayerCase:
    # Of one value there is no variance, and two become 1 and -1 whatever they were: no gradient is left.
    draw = channels(5, axes) if axes else lambda numbers, batch, size: (numbers.standard_normal((batch + 2, 5)),)
    return LayerCase(
        f"BatchNorm{axes or 1}d{'' if axes else ', no axes'}",
        lambda: getattr(nn, f"BatchNorm{axes or 1}d")(5),
        lambda rngs: counterparts.BatchNorm(5, rngs=rngs),
        draw,
        channels_last=True,
        missing="the unbiased running variance (2e-3 off at 64 values); momentum counts the other way; a fast variance "
        "that cancels; no counter of batches, and so no momentum=None",
    )


class CastingRMSNorm(nn.Module):
    """RMSNorm as the language models have it: computed in float32, whatever the dtype."""

    def __init__(self, features: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(features))

    def forward(self, x: Tensor) -> Tensor:
        wide = x.float()
        normed = wide * torch.rsqrt(wide.square().mean(-1, keepdim=True) + 1e-6)
        return self.weight * normed.to(x.dtype)


class CastingRMSNormCounterpart(nnx.Module):
    """The same in JAX."""

    def __init__(self, features: int, *, rngs: nnx.Rngs) -> None:
        self.scale = nnx.Param(jnp.ones(features))

    def __call__(self, x: jax.Array) -> jax.Array:
        wide = x.astype(jnp.float32)
        normed = wide * jax.lax.rsqrt(jnp.mean(wide**2, axis=-1, keepdims=True) + 1e-6)
        return self.scale[...] * normed.astype(x.dtype)


class SelfAttention(nn.Module):
    """`torch.nn.MultiheadAttention` of a sequence to itself; the mask says where to look."""

    def __init__(self) -> None:
        super().__init__()
        self.attention = nn.MultiheadAttention(8, 2, batch_first=True)

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        # Torch's masks say where not to look. One for every example has to be repeated for every head.
        hidden = None if mask is None else ~mask.repeat_interleave(2, dim=0)
        output: Tensor = self.attention(x, x, x, attn_mask=hidden, need_weights=False)[0]
        return output


class SelfAttentionCounterpart(nnx.Module):
    """The same in Flax."""

    def __init__(self, rngs: nnx.Rngs) -> None:
        self.attention = nnx.MultiHeadAttention(
            2, 8, decode=False, attention_fn=counterparts.dot_product_attention, rngs=rngs
        )

    def __call__(self, x: jax.Array, mask: jax.Array | None = None) -> jax.Array:
        output: jax.Array = self.attention(x, mask=None if mask is None else mask[:, None])
        return output


def _causal(numbers: np.random.Generator, batch: int, size: int) -> tuple[Array, ...]:
    seen = np.tril(np.ones((size, size), bool))
    return (*sequence(8)(numbers, batch, size), np.repeat(seen[None], batch, axis=0))


def _padded(numbers: np.random.Generator, batch: int, size: int) -> tuple[Array, ...]:
    """Sequences of their own lengths, of one token up."""
    lengths = numbers.integers(1, size + 1, batch)
    seen = np.arange(size) < lengths[:, None]
    return (*sequence(8)(numbers, batch, size), np.repeat(seen[:, None], size, axis=1))


class LastAndAll(nn.Module):
    """A recurrent layer, which gives all outputs and then the last of its states one by one."""

    def __init__(self, rnn: nn.LSTM | nn.GRU) -> None:
        super().__init__()
        self.rnn = rnn

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        outputs, last = self.rnn(x)
        return (outputs, *(state[0] for state in (last if isinstance(last, tuple) else (last,))))


class LastAndAllCounterpart(nnx.Module):
    """The same in Flax."""

    def __init__(self, rnn: counterparts.LSTM | counterparts.GRU) -> None:
        self.rnn = rnn

    def __call__(self, x: jax.Array) -> tuple[jax.Array, ...]:
        outputs, last = self.rnn(x)
        return (outputs, *(last if isinstance(last, tuple) else (last,)))


RECURRENT = "one bias where torch has two; nnx.RNN begins with zeros in float32; no several layers, no projection"
ATTENTION = (
    "the softmax of nnx.dot_product_attention is in float32 whatever the dtype; a mask says where to look, and torch's "
    "where not to"
)

LAYERS: tuple[LayerCase, ...] = (
    LayerCase("Linear", lambda: nn.Linear(5, 3), lambda rngs: nnx.Linear(5, 3, rngs=rngs), features(5)),
    LayerCase(
        "Linear, no bias",
        lambda: nn.Linear(5, 3, bias=False),
        lambda rngs: nnx.Linear(5, 3, use_bias=False, rngs=rngs),
        sequence(5),
    ),
    *(_convolution(axes, title) for axes in AXES for title in CONVOLUTIONS),
    *(_transposed(axes, title) for axes in AXES for title in TRANSPOSED),
    *(_batch_norm(axes) for axes in (0, *AXES)),
    LayerCase(
        "LayerNorm",
        lambda: nn.LayerNorm(6),
        lambda rngs: nnx.LayerNorm(6, epsilon=1e-5, rngs=rngs),
        sequence(6),
        missing="epsilon is 1e-6 by default, and torch's 1e-5; parameters over several axes; a fast variance that "
        "cancels",
    ),
    LayerCase(
        "GroupNorm",
        lambda: nn.GroupNorm(3, 6),
        lambda rngs: nnx.GroupNorm(6, 3, epsilon=1e-5, rngs=rngs),
        channels(6, 2),
        channels_last=True,
        missing="epsilon is 1e-6 by default, and torch's 1e-5; a fast variance that cancels",
    ),
    LayerCase(
        "RMSNorm",
        lambda: nn.RMSNorm(6, eps=1e-6),
        lambda rngs: nnx.RMSNorm(6, epsilon=1e-6, rngs=rngs),
        sequence(6),
        missing="torch's eps is by default that of the dtype, 1.2e-7 in float32 and 2.2e-16 in float64; Flax's is 1e-6",
    ),
    LayerCase(
        "RMSNorm that casts to float32",
        lambda: CastingRMSNorm(6),
        lambda rngs: CastingRMSNormCounterpart(6, rngs=rngs),
        sequence(6),
        float32_inside=True,
    ),
    LayerCase(
        "Embedding",
        lambda: nn.Embedding(7, 5),
        lambda rngs: nnx.Embed(7, 5, rngs=rngs),
        tokens(7),
        missing="no max_norm, no scale_grad_by_freq",
    ),
    LayerCase(
        "Embedding with padding index",
        lambda: nn.Embedding(7, 5, padding_idx=2),
        lambda rngs: counterparts.Embed(7, 5, padding_idx=2, rngs=rngs),
        tokens(7),
        missing="no padding index",
    ),
    LayerCase("MultiheadAttention", SelfAttention, SelfAttentionCounterpart, sequence(8), missing=ATTENTION),
    LayerCase("MultiheadAttention, causal", SelfAttention, SelfAttentionCounterpart, _causal, missing=ATTENTION),
    LayerCase("MultiheadAttention, padded", SelfAttention, SelfAttentionCounterpart, _padded, missing=ATTENTION),
    LayerCase(
        "LSTM",
        lambda: LastAndAll(nn.LSTM(3, 4, batch_first=True)),
        lambda rngs: LastAndAllCounterpart(counterparts.LSTM(3, 4, rngs=rngs)),
        sequence(3),
        missing=RECURRENT,
    ),
    LayerCase(
        "GRU",
        lambda: LastAndAll(nn.GRU(3, 4, batch_first=True)),
        lambda rngs: LastAndAllCounterpart(counterparts.GRU(3, 4, rngs=rngs)),
        sequence(3),
        missing=RECURRENT,
    ),
    LayerCase(
        "PReLU",
        lambda: nn.PReLU(),
        lambda rngs: nnx.PReLU(),
        features(6),
        missing="one slope for all features alone; it begins at 0.01, and torch's at 0.25",
    ),
)
