"""The JAX side of the scanned pair in three styles, in each of which an array of a block holds those of all blocks."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import optax
from flax import linen, nnx

from parity_tests.parity.scanned_torch import BLOCKS, CLASSES, FEATURES, WIDTH

Batch = dict[str, jax.Array]


def cross_entropy(logits: jax.Array, batch: Batch) -> jax.Array:
    return jnp.mean(optax.softmax_cross_entropy_with_integer_labels(logits, batch["labels"]))


def loss(model: Any, batch: Batch) -> jax.Array:
    return cross_entropy(model(batch["inputs"]), batch)


def optimizer() -> optax.GradientTransformation:
    return optax.adam(0.01)


# nn.scan


class LinenBlock(linen.Module):
    """Gives what a step of a scan gives: what is carried on, and nothing beside it."""

    @linen.compact
    def __call__(self, x: jax.Array) -> tuple[jax.Array, None]:
        y = linen.LayerNorm(epsilon=1e-5, name="norm")(x)
        y = linen.Dense(2 * WIDTH, name="widen")(y)
        y = linen.Dense(WIDTH, name="narrow")(jnp.tanh(y))
        return x + linen.Dense(WIDTH, name="mix")(y), None


class LinenNet(linen.Module):
    """The blocks under `nn.scan`, their arrays stacked along `axis`."""

    block: type[linen.Module] = LinenBlock
    axis: int = 0
    blocks: int = BLOCKS
    reverse: bool = False

    @linen.compact
    def __call__(self, inputs: jax.Array) -> jax.Array:
        x = linen.Dense(WIDTH, name="embed")(inputs)
        scanned = linen.scan(
            self.block, variable_axes={"params": self.axis}, split_rngs={"params": True}, length=self.blocks,
            reverse=self.reverse,
        )  # fmt: skip
        x, _ = scanned(name="blocks")(x)
        found: jax.Array = linen.Dense(CLASSES, name="head")(x)
        return found


# nnx.scan over what nnx.vmap made


class NnxBlock(nnx.Module):
    def __init__(self, rngs: nnx.Rngs) -> None:
        self.norm: Any = nnx.LayerNorm(WIDTH, epsilon=1e-5, rngs=rngs)
        self.widen = nnx.Linear(WIDTH, 2 * WIDTH, rngs=rngs)
        self.narrow = nnx.Linear(2 * WIDTH, WIDTH, rngs=rngs)
        self.mix = nnx.Linear(WIDTH, WIDTH, rngs=rngs)

    def __call__(self, x: jax.Array) -> jax.Array:
        return x + self.mix(self.narrow(jnp.tanh(self.widen(self.norm(x)))))


class NnxNet(nnx.Module):
    block: type[NnxBlock] = NnxBlock

    def __init__(self, rngs: nnx.Rngs) -> None:
        @nnx.split_rngs(splits=BLOCKS)
        @nnx.vmap(in_axes=0, out_axes=0)
        def made(rngs: nnx.Rngs) -> NnxBlock:
            return self.block(rngs)

        self.embed = nnx.Linear(FEATURES, WIDTH, rngs=rngs)
        self.blocks = made(rngs)
        self.head = nnx.Linear(WIDTH, CLASSES, rngs=rngs)

    def __call__(self, inputs: jax.Array) -> jax.Array:
        @nnx.scan(in_axes=(nnx.Carry, 0), out_axes=nnx.Carry)
        def through(x: jax.Array, block: NnxBlock) -> jax.Array:
            return block(x)

        found: jax.Array = self.head(through(self.embed(inputs), self.blocks))
        return found


# jax.lax.scan over a pytree


def layer(inputs: int, outputs: int, *stacked: int) -> dict[str, jax.Array]:
    return {"w": jnp.zeros((*stacked, inputs, outputs)), "b": jnp.zeros((*stacked, outputs))}


def params(blocks: int = BLOCKS) -> dict[str, Any]:
    norm = {"scale": jnp.zeros((blocks, WIDTH)), "bias": jnp.zeros((blocks, WIDTH))}
    inner = {"widen": layer(WIDTH, 2 * WIDTH, blocks), "narrow": layer(2 * WIDTH, WIDTH, blocks)}
    block = {"norm": norm, **inner, "mix": layer(WIDTH, WIDTH, blocks)}
    return {"embed": layer(FEATURES, WIDTH), "blocks": block, "head": layer(WIDTH, CLASSES)}


def linear(x: jax.Array, of: dict[str, jax.Array]) -> jax.Array:
    return x @ of["w"] + of["b"]


def block(x: jax.Array, of: dict[str, dict[str, jax.Array]]) -> jax.Array:
    y = (x - x.mean(-1, keepdims=True)) / jnp.sqrt(x.var(-1, keepdims=True) + 1e-5)
    y = y * of["norm"]["scale"] + of["norm"]["bias"]
    return x + linear(linear(jnp.tanh(linear(y, of["widen"])), of["narrow"]), of["mix"])


def predict(parameters: dict[str, Any], batch: Batch, *, reverse: bool = False) -> jax.Array:
    x = linear(batch["inputs"], parameters["embed"])
    x, _ = jax.lax.scan(lambda x, of: (block(x, of), None), x, parameters["blocks"], reverse=reverse)
    return linear(x, parameters["head"])


def plain_loss(parameters: dict[str, Any], batch: Batch) -> jax.Array:
    return cross_entropy(predict(parameters, batch), batch)
