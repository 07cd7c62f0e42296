"""The port of the small GPT to Flax NNX. The head is the token embedding itself, so that there is nothing to tie."""

import jax
import jax.numpy as jnp
import optax
from flax import nnx

from parity_tests.ports.counterparts import dot_product_attention

VOCABULARY, CONTEXT, BLOCKS, WIDTH, HEADS, DROPOUT = 65, 16, 2, 32, 4, 0.1


class Attention(nnx.Module):
    """Causal self-attention."""

    def __init__(self, rngs: nnx.Rngs) -> None:
        self.c_attn = nnx.Linear(WIDTH, 3 * WIDTH, rngs=rngs)
        self.c_proj = nnx.Linear(WIDTH, WIDTH, rngs=rngs)

    def __call__(self, x: jax.Array) -> jax.Array:
        batch, length, width = x.shape
        packed = self.c_attn(x).reshape(batch, length, 3, HEADS, width // HEADS)
        q, k, v = jnp.moveaxis(packed, 2, 0)
        y = dot_product_attention(q, k, v, is_causal=True)
        return self.c_proj(y.reshape(batch, length, width))


class MLP(nnx.Module):
    """Four times as wide in between, with the tanh form of GELU."""

    def __init__(self, rngs: nnx.Rngs) -> None:
        self.c_fc = nnx.Linear(WIDTH, 4 * WIDTH, rngs=rngs)
        self.c_proj = nnx.Linear(4 * WIDTH, WIDTH, rngs=rngs)

    def __call__(self, x: jax.Array) -> jax.Array:
        return self.c_proj(nnx.gelu(self.c_fc(x), approximate=True))


class Block(nnx.Module):
    """Attention and MLP, each behind a LayerNorm and added to its input."""

    def __init__(self, rngs: nnx.Rngs) -> None:
        self.ln_1 = nnx.LayerNorm(WIDTH, epsilon=1e-5, rngs=rngs)
        self.attn = Attention(rngs)
        self.ln_2 = nnx.LayerNorm(WIDTH, epsilon=1e-5, rngs=rngs)
        self.mlp = MLP(rngs)
        self.dropout = nnx.Dropout(DROPOUT, rngs=rngs)

    def __call__(self, x: jax.Array) -> jax.Array:
        x = x + self.dropout(self.attn(self.ln_1(x)))
        return x + self.dropout(self.mlp(self.ln_2(x)))


class Net(nnx.Module):
    """Tokens (N, T) below 65 with T up to 16 to logits (N, T, 65) of the token that follows each."""

    def __init__(self, rngs: nnx.Rngs) -> None:
        self.wte = nnx.Embed(VOCABULARY, WIDTH, rngs=rngs)
        self.wpe = nnx.Embed(CONTEXT, WIDTH, rngs=rngs)
        self.drop = nnx.Dropout(DROPOUT, rngs=rngs)
        self.h = nnx.List([Block(rngs) for _ in range(BLOCKS)])
        self.ln_f = nnx.LayerNorm(WIDTH, epsilon=1e-5, rngs=rngs)

    def __call__(self, tokens: jax.Array) -> jax.Array:
        positions = jnp.arange(tokens.shape[1])
        x = self.drop(self.wte(tokens) + self.wpe(positions))
        for block in self.h:
            x = block(x)
        return self.wte.attend(self.ln_f(x))


def loss(model: Net, batch: dict[str, jax.Array]) -> jax.Array:
    """The mean cross entropy over all positions."""
    return jnp.mean(optax.softmax_cross_entropy_with_integer_labels(model(batch["tokens"]), batch["targets"]))


def optimizer() -> optax.GradientTransformation:
    return optax.adamw(1e-3, weight_decay=0.01)
