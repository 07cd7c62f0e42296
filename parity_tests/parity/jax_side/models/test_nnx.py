"""A Flax NNX module between two calls: what a call leaves of it, and what torch does not hold."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import torch
from flax import nnx

from parity import Pair, random_batches
from parity.jax_side.models.nnx import OfNnx
from parity.recording import Arrays
from parity.sides.parts import Parts


class Table(nnx.Variable[jax.Array]):
    """An array of a kind that nobody trains."""


class Counting(nnx.Module):
    """A linear layer, the last mean of what came out of it, and a table that torch has not."""

    def __init__(self, rngs: nnx.Rngs) -> None:
        self.fc = nnx.Linear(2, 3, rngs=rngs)
        self.mean = nnx.BatchStat(jnp.zeros(3))
        self.shift = Table(jnp.arange(3.0))

    def __call__(self, x: jax.Array) -> jax.Array:
        x = self.fc(x)
        self.mean[...] = x.mean(0)
        return x + self.shift[...]


class InTorch(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.fc = torch.nn.Linear(2, 3)
        self.register_buffer("mean", torch.zeros(3))


ARRAYS: Arrays = {
    "fc.weight": np.arange(6, dtype=np.float32).reshape(3, 2),
    "fc.bias": np.ones(3, np.float32),
    "mean": np.full(3, 7, np.float32),
}
X = jnp.ones((4, 2), jnp.float32)


def models(of_torch: type[torch.nn.Module] = InTorch, of_jax: type[nnx.Module] = Counting) -> OfNnx:
    side = {"loss": print, "optimizer": print}
    batches = random_batches(x=(4, 2), steps=1)
    pair = Pair(torch=side | {"model": of_torch}, jax=side | {"model": of_jax}, batches=batches)
    return OfNnx(Parts(pair.jax, "jax"), "float32")


def test_arrays_come_back_as_they_went_in() -> None:
    of_nnx = models()
    held = of_nnx.held(ARRAYS)
    back = of_nnx.trained_arrays(held.trained) | of_nnx.kept_arrays(held.kept)
    assert back.keys() == ARRAYS.keys()
    for name, array in ARRAYS.items():
        np.testing.assert_array_equal(back[name], array)


def test_what_torch_does_not_hold_is_as_the_module_makes_it_and_what_is_kept_changes() -> None:
    of_nnx = models()
    model = of_nnx.bound(of_nnx.held(ARRAYS), training=True)
    expected = X @ ARRAYS["fc.weight"].T + 1
    np.testing.assert_array_equal(model(X), expected + jnp.arange(3))
    np.testing.assert_array_equal(of_nnx.kept_arrays(of_nnx.kept_after(model))["mean"], expected[0])


class Dropping(nnx.Module):
    """Blocks that are stacked, each with a stream of its own."""

    def __init__(self, rngs: nnx.Rngs) -> None:
        @nnx.split_rngs(splits=3)
        @nnx.vmap(in_axes=0, out_axes=0)
        def blocks(rngs: nnx.Rngs) -> nnx.Sequential:
            return nnx.Sequential(nnx.Linear(2, 2, rngs=rngs), nnx.Dropout(0.5, rngs=rngs))

        self.blocks = blocks(rngs)


def test_the_streams_of_stacked_blocks_stay_stacked() -> None:
    of_nnx = models(lambda: torch.nn.Sequential(*(torch.nn.Linear(2, 2) for _ in range(3))), Dropping)  # type: ignore[arg-type]
    arrays = {
        name: np.ones(shape, np.float32)
        for i in range(3)
        for name, shape in ((f"{i}.weight", (2, 2)), (f"{i}.bias", (2,)))
    }
    streams = nnx.state(of_nnx.bound(of_nnx.held(arrays), training=True), nnx.RngState)
    assert {leaf.shape for leaf in jax.tree.leaves(streams)} == {(3,)}
