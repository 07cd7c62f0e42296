"""Mistakes in a port of the vision transformer."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from parity_tests.ports.anywhere import Port, adam, images, losses_and_data
from parity_tests.ports.counterparts import dot_product_attention
from parity_tests.ports.planted import Mistake, Plant, drawn, entry, parts
from parity_tests.ports.planted_jax import Change, WithoutBias, become, have, in_float32, model
from parity_tests.ports.planted_torch import have as torch_have
from parity_tests.ports.planted_torch import model as torch_model
from parity_tests.ports.vit import in_jax, in_torch
from parity_tests.ports.vit.in_jax import HEADS, MLP, PATCHES, WIDTH, Encoder, EncoderBlock, Net

Attend = Any


def _attending(scale: float = 1.0, over: int = -1) -> Attend:
    """Attention whose queries are scaled once more, or whose softmax is over another axis."""

    def attend(query: jax.Array, key: jax.Array, value: jax.Array, **options: Any) -> jax.Array:
        scores = jnp.einsum("...qhd,...khd->...hqk", scale * (WIDTH // HEADS) ** -0.5 * query, key)
        return jnp.einsum("...hqk,...khd->...qhd", nnx.softmax(scores, axis=over), value)

    return attend


def _exchanged(query: jax.Array, key: jax.Array, value: jax.Array, **options: Any) -> jax.Array:
    return dot_product_attention(key, query, value, **options)


def _heads_mixed(query: jax.Array, key: jax.Array, value: jax.Array, **options: Any) -> jax.Array:
    return dot_product_attention(query, key, value, **options)[..., ::-1, :]


class TanhGELU(MLP):
    def __call__(self, x: jax.Array) -> jax.Array:
        return self.fc2(nnx.gelu(self.fc1(x)))


class ReLU(MLP):
    def __call__(self, x: jax.Array) -> jax.Array:
        return self.fc2(nnx.relu(self.fc1(x)))


class WithoutResidual(EncoderBlock):
    def __call__(self, x: jax.Array) -> jax.Array:
        x = self.self_attention(self.ln_1(x))
        return x + self.mlp(self.ln_2(x))


class ResidualOfNorm(EncoderBlock):
    def __call__(self, x: jax.Array) -> jax.Array:
        x = self.ln_1(x)
        x = x + self.self_attention(x)
        return x + self.mlp(self.ln_2(x))


class GradientStopped(EncoderBlock):
    def __call__(self, x: jax.Array) -> jax.Array:
        x = x + self.self_attention(jax.lax.stop_gradient(self.ln_1(x)))
        return x + self.mlp(self.ln_2(x))


class PartedEncoder(Encoder):
    """The right encoder in parts, each of which a mistake may replace."""

    def __call__(self, x: jax.Array) -> jax.Array:
        x = self.placed(x)
        for layer in self.blocks():
            x = layer(x)
        return self.normed(x)

    def placed(self, x: jax.Array) -> jax.Array:
        return x + self.pos_embedding[...]

    def blocks(self) -> list[Any]:
        return list(self.layers)

    def normed(self, x: jax.Array) -> jax.Array:
        output: jax.Array = self.ln(x)
        return output


class PositionsShifted(PartedEncoder):
    def placed(self, x: jax.Array) -> jax.Array:
        return x + jnp.roll(self.pos_embedding[...], 1, axis=1)


class PatchesPlacedOnly(PartedEncoder):
    def placed(self, x: jax.Array) -> jax.Array:
        return x.at[:, 1:].add(self.pos_embedding[:, 1:])


class WithoutLastNorm(PartedEncoder):
    def normed(self, x: jax.Array) -> jax.Array:
        return x


class LayersReversed(PartedEncoder):
    def blocks(self) -> list[Any]:
        return list(self.layers)[::-1]


class PartedNet(Net):
    """The right net in parts, each of which a mistake may replace."""

    def __call__(self, images: jax.Array) -> jax.Array:
        return self.head(self.read(self.encoder(self.joined(self.patches(images)))))

    def patches(self, images: jax.Array) -> jax.Array:
        return self.conv_proj(images).reshape(images.shape[0], PATCHES, WIDTH)

    def joined(self, patches: jax.Array) -> jax.Array:
        token = jnp.broadcast_to(self.class_token[...], (patches.shape[0], 1, WIDTH))
        return jnp.concatenate([token, patches], axis=1)

    def read(self, x: jax.Array) -> jax.Array:
        return x[:, 0]


class PatchesByColumns(PartedNet):
    def patches(self, images: jax.Array) -> jax.Array:
        return self.conv_proj(images).swapaxes(1, 2).reshape(images.shape[0], PATCHES, WIDTH)


class TokenLast(PartedNet):
    def joined(self, patches: jax.Array) -> jax.Array:
        return jnp.roll(super().joined(patches), -1, axis=1)


class MeanRead(PartedNet):
    def read(self, x: jax.Array) -> jax.Array:
        return x.mean(axis=1)


class LastRead(PartedNet):
    def read(self, x: jax.Array) -> jax.Array:
        return x[:, -1]


class TokenFixed(PartedNet):
    """The class token takes no gradient."""

    def joined(self, patches: jax.Array) -> jax.Array:
        token = jax.lax.stop_gradient(super().joined(patches)[:, :1])
        return jnp.concatenate([token, patches], axis=1)


class Float32Norm(nnx.LayerNorm):
    def __call__(self, x: jax.Array, **named: Any) -> jax.Array:
        return in_float32(super().__call__(x, **named))


def _net(*changes: Change) -> Plant:
    return parts(model=model(Net, *changes))


def _attention(attend: Attend) -> Plant:
    return _net(have("encoder.layers.0.self_attention", attention_fn=attend))


_port = Port(
    inputs="images",
    labels="labels",
    loss=in_jax.loss,
    first="class_token",
    last="heads.head.bias",
    last_in_jax="head.bias",
    decayed="conv_proj.weight",
    vector="encoder.layers.encoder_layer_0.ln_1.weight",
    drawn=1,
)
_block = "encoder.layers.encoder_layer_0"
_attended = f"{_block}.self_attention.output"

MISTAKES = [
    # Parameters
    Mistake("torchvision's head of zeros on one side only", "jax", drawn("heads.head.weight", lambda a: 0 * a),
            "init", "heads.head.weight", says="zero"),
    Mistake("one layer's bias dropped", "jax", _net(become("encoder.layers.1.mlp.fc2", WithoutBias)),
            "forward", "encoder.layers.encoder_layer_1.mlp.3.output"),
    Mistake("class token without a gradient", "jax", _net(become("", TokenFixed)), "backward", "class_token",
            says="zero"),
    # Layers
    Mistake("LayerNorm's epsilon 1e-5 for 1e-6", "jax", _net(have("encoder.layers.0.ln_1", epsilon=1e-5)),
            "forward", f"{_block}.ln_1.output"),
    Mistake("LayerNorm's epsilon 1e-5 for 1e-6", "torch",
            parts(model=torch_model(in_torch.Net, torch_have("encoder.ln", eps=1e-5))), "forward", "encoder.ln.output"),
    Mistake("the tanh form of GELU for the exact one", "jax", _net(become("encoder.layers.0.mlp", TanhGELU)),
            "forward", f"{_block}.mlp.3.input"),
    Mistake("ReLU for GELU", "jax", _net(become("encoder.layers.0.mlp", ReLU)), "forward", f"{_block}.mlp.3.input"),
    Mistake("scores not divided by the root of a head's width", "jax",
            _attention(_attending(scale=(WIDTH // HEADS) ** 0.5)), "forward", _attended),
    Mistake("scores divided by the root of the whole width", "jax", _attention(_attending(scale=HEADS**-0.5)),
            "forward", _attended),
    Mistake("softmax over the queries", "jax", _attention(_attending(over=-2)), "forward", _attended),
    Mistake("keys and queries exchanged", "jax", _attention(_exchanged), "forward", _attended),
    Mistake("heads merged in the wrong order", "jax", _attention(_heads_mixed), "forward", _attended),
    Mistake("Flax's attention, whose softmax is in float32", "jax", _attention(nnx.dot_product_attention),
            "forward", _attended),
    Mistake("float32 inside a float64 run", "jax", _net(become("encoder.layers.1.ln_2", Float32Norm)),
            "forward", "encoder.layers.encoder_layer_1.ln_2.output"),
    Mistake("residual connection missing", "jax", _net(become("encoder.layers.0", WithoutResidual)),
            "forward", f"{_block}.ln_2.input"),
    Mistake("residual connection from behind the norm", "jax", _net(become("encoder.layers.0", ResidualOfNorm)),
            "forward", f"{_block}.ln_2.input"),
    Mistake("positions shifted by one", "jax", _net(become("encoder", PositionsShifted)),
            "forward", f"{_block}.ln_1.input"),
    Mistake("no position for the class token", "jax", _net(become("encoder", PatchesPlacedOnly)),
            "forward", f"{_block}.ln_1.input"),
    Mistake("the last norm missing", "jax", _net(become("encoder", WithoutLastNorm)), "forward", "encoder.output"),
    Mistake("patches by columns", "jax", _net(become("", PatchesByColumns)), "forward", "encoder.input",
            says="another order"),
    Mistake("class token behind the patches", "jax", _net(become("", TokenLast)), "forward", "encoder.input",
            says="rolled along axis 1"),
    Mistake("the mean of all tokens read", "jax", _net(become("", MeanRead)), "forward", "heads.head.input"),
    Mistake("the last token read", "jax", _net(become("", LastRead)), "forward", "heads.head.input"),
    Mistake("layers in the reverse order", "jax", _net(become("encoder", LayersReversed)),
            "forward", f"{_block}.ln_1.input"),
    Mistake("a gradient that stops before the attention", "jax", _net(become("encoder.layers.1", GradientStopped)),
            "backward", "encoder.layers.encoder_layer_1.ln_1.weight", says="zero"),
    # Data
    Mistake("red and blue exchanged", "jax", entry("images", lambda a: np.flip(a, axis=1)), "data", "images"),
    *losses_and_data(_port),
    *images(_port),
    *adam(_port, rate=1e-3, decay=0.01),
]  # fmt: skip
