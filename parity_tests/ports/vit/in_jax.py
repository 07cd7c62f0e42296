"""The port of torchvision's VisionTransformer to Flax NNX, with the attention that Flax has."""

import jax
import jax.numpy as jnp
import optax
from flax import nnx

from parity_tests.ports.counterparts import dot_product_attention

PATCHES, LAYERS, HEADS, WIDTH, MLP_WIDTH, CLASSES = (32 // 8) ** 2, 2, 4, 32, 64, 10


class MLP(nnx.Module):
    """Twice as wide in between, with the exact GELU."""

    def __init__(self, rngs: nnx.Rngs) -> None:
        self.fc1 = nnx.Linear(WIDTH, MLP_WIDTH, rngs=rngs)
        self.fc2 = nnx.Linear(MLP_WIDTH, WIDTH, rngs=rngs)

    def __call__(self, x: jax.Array) -> jax.Array:
        return self.fc2(nnx.gelu(self.fc1(x), approximate=False))


class EncoderBlock(nnx.Module):
    """Attention and MLP, each behind a LayerNorm and added to its input."""

    def __init__(self, rngs: nnx.Rngs) -> None:
        self.ln_1 = nnx.LayerNorm(WIDTH, epsilon=1e-6, rngs=rngs)
        self.self_attention = nnx.MultiHeadAttention(
            HEADS, WIDTH, decode=False, attention_fn=dot_product_attention, rngs=rngs
        )
        self.ln_2 = nnx.LayerNorm(WIDTH, epsilon=1e-6, rngs=rngs)
        self.mlp = MLP(rngs)

    def __call__(self, x: jax.Array) -> jax.Array:
        x = x + self.self_attention(self.ln_1(x))
        return x + self.mlp(self.ln_2(x))


class Encoder(nnx.Module):
    """Position embedding and blocks."""

    def __init__(self, rngs: nnx.Rngs) -> None:
        self.pos_embedding = nnx.Param(nnx.initializers.normal(0.02)(rngs.params(), (1, PATCHES + 1, WIDTH)))
        self.layers = nnx.List([EncoderBlock(rngs) for _ in range(LAYERS)])
        self.ln = nnx.LayerNorm(WIDTH, epsilon=1e-6, rngs=rngs)

    def __call__(self, x: jax.Array) -> jax.Array:
        x = x + self.pos_embedding
        for layer in self.layers:
            x = layer(x)
        output: jax.Array = self.ln(x)
        return output


class Net(nnx.Module):
    """Images (N, 32, 32, 3) to logits (N, 10)."""

    def __init__(self, rngs: nnx.Rngs) -> None:
        self.conv_proj = nnx.Conv(3, WIDTH, (8, 8), strides=8, padding="VALID", rngs=rngs)
        self.class_token = nnx.Param(jnp.zeros((1, 1, WIDTH)))
        self.encoder = Encoder(rngs)
        self.head = nnx.Linear(WIDTH, CLASSES, rngs=rngs)

    def __call__(self, images: jax.Array) -> jax.Array:
        patches = self.conv_proj(images).reshape(images.shape[0], PATCHES, WIDTH)
        token = jnp.broadcast_to(self.class_token[...], (images.shape[0], 1, WIDTH))
        x = self.encoder(jnp.concatenate([token, patches], axis=1))
        return self.head(x[:, 0])


def loss(model: Net, batch: dict[str, jax.Array]) -> jax.Array:
    """The mean cross entropy."""
    logits = model(batch["images"].transpose(0, 2, 3, 1))
    return jnp.mean(optax.softmax_cross_entropy_with_integer_labels(logits, batch["labels"]))


def optimizer() -> optax.GradientTransformation:
    return optax.adamw(1e-3, weight_decay=0.01)
