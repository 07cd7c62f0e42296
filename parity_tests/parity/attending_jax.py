"""The JAX side of the transformer, its blocks under `nnx.scan`; what is in a block may be otherwise in places."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import optax
from flax import nnx

from parity_tests.parity.attending_torch import BLOCKS, LENGTH, TOKENS, WIDTH


class Block(nnx.Module):
    epsilon = 1e-5

    def __init__(self, rngs: nnx.Rngs) -> None:
        self.before = nnx.LayerNorm(WIDTH, epsilon=1e-5, rngs=rngs)
        self.query, self.key, self.value = (nnx.Linear(WIDTH, WIDTH, rngs=rngs) for _ in range(3))
        self.behind = nnx.LayerNorm(WIDTH, epsilon=self.epsilon, rngs=rngs)
        self.widen = nnx.Linear(WIDTH, 2 * WIDTH, rngs=rngs)
        self.narrow = nnx.Linear(2 * WIDTH, WIDTH, rngs=rngs)

    def __call__(self, x: jax.Array) -> jax.Array:
        y = self.before(x)
        scores = self.query(y) @ self.key(y).mT / WIDTH**0.5
        between = x + jax.nn.softmax(jnp.where(self.hidden(), -jnp.inf, scores)) @ self.value(y)
        return self.added(x, between) + self.narrow(self.activated(self.widen(self.behind(between))))

    def hidden(self) -> jax.Array:
        return jnp.triu(jnp.ones((LENGTH, LENGTH), bool), 1)

    def activated(self, x: jax.Array) -> jax.Array:
        return jax.nn.gelu(x, approximate=False)

    def added(self, first: jax.Array, between: jax.Array) -> jax.Array:
        return between


class Net(nnx.Module):
    block: type[Block] = Block
    reverse = False

    def __init__(self, rngs: nnx.Rngs) -> None:
        @nnx.split_rngs(splits=BLOCKS)
        @nnx.vmap(in_axes=0, out_axes=0)
        def made(rngs: nnx.Rngs) -> Block:
            return self.block(rngs)

        self.embed = nnx.Embed(TOKENS, WIDTH, rngs=rngs)
        self.blocks = made(rngs)
        self.head = nnx.Linear(WIDTH, TOKENS, rngs=rngs)

    def through(self, x: jax.Array) -> Any:
        @nnx.scan(in_axes=(nnx.Carry, 0), out_axes=nnx.Carry, reverse=self.reverse)
        def through(x: jax.Array, block: Block) -> jax.Array:
            return block(x)

        return through(x, self.blocks)

    def __call__(self, tokens: jax.Array) -> jax.Array:
        return self.head(self.through(self.embed(tokens)))

    def one_by_one(self, x: jax.Array, blocks: Any, *, reverse: bool = False) -> Any:
        """Through blocks whose arrays are handed over, by `jax.lax.scan`."""
        graph = nnx.graphdef(self.blocks)

        def turn(x: jax.Array, held: Any) -> tuple[Any, None]:
            return nnx.merge(graph, held)(x), None

        return jax.lax.scan(turn, x, blocks, reverse=reverse)[0]


def loss(model: Any, batch: dict[str, jax.Array]) -> jax.Array:
    losses = optax.softmax_cross_entropy_with_integer_labels(
        model(batch["tokens"]), jnp.roll(batch["tokens"], -1, axis=1)
    )
    return jnp.mean(losses)


def optimizer() -> optax.GradientTransformation:
    return optax.sgd(0.1)
