"""An `nn.Embedding(sparse=True)`, whose gradient holds the rows of the batch alone."""

from __future__ import annotations

from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
import pytest
import torch
from flax import nnx
from torch import Tensor, nn

from parity import Pair, check, random_batches, whole
from parity.verdict import Verdict
from parity_tests.parity import small_jax, small_torch

pytestmark = pytest.mark.usefixtures("compiled_quickly")

TOKENS, WIDTH = 10, 4


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.embed, self.head = nn.Embedding(TOKENS, WIDTH, sparse=True), nn.Linear(WIDTH, small_torch.CLASSES)

    def forward(self, tokens: Tensor) -> Tensor:
        return self.head(self.embed(tokens).mean(1))  # type: ignore[no-any-return]


class Port(nnx.Module):
    def __init__(self, rngs: nnx.Rngs) -> None:
        self.embed = nnx.Embed(TOKENS, WIDTH, rngs=rngs)
        self.head = nnx.Linear(WIDTH, small_jax.CLASSES, rngs=rngs)

    def __call__(self, tokens: jax.Array) -> jax.Array:
        return self.head(self.embed(tokens).mean(1))


class Summed(Port):
    """The planted mistake."""

    def __call__(self, tokens: jax.Array) -> jax.Array:
        return self.head(self.embed(tokens).sum(1))


def checked(model: Any, port: Any, in_torch: Any, in_jax: Any) -> Verdict:
    pair = Pair(
        name="sparse", torch={"model": model, "loss": small_torch.loss, "optimizer": in_torch},
        jax={"model": port, "loss": small_jax.loss, "optimizer": in_jax},
        batches=random_batches(inputs=whole(TOKENS, 8, 3), labels=(8,), classes=small_torch.CLASSES, steps=3),
    )  # fmt: skip
    return check(pair, dtypes=("float64",))


@pytest.mark.parametrize(("port", "outcome"), [(Port, "agree"), (Summed, "differ")])
def test_its_gradient_is_compared_with_all_rows(port: Any, outcome: str) -> None:
    verdict = checked(Net, port, lambda parameters: torch.optim.SGD(parameters, lr=0.1), lambda: optax.sgd(0.1))
    assert verdict.outcome == outcome, verdict.first_difference
    assert any(c.key.stage == "backward" and c.key.tensor == "embed.weight" for c in verdict.comparisons)


class Moments(NamedTuple):
    """What SparseAdam remembers."""

    exp_avg: Any
    exp_avg_sq: Any
    steps: jax.Array


def lazy_adam(rate: float) -> optax.GradientTransformation:
    """Adam that leaves rows without a gradient as they are, and their moments too."""

    def stepped(slope: jax.Array, mean: jax.Array, square: jax.Array, count: jax.Array) -> tuple[jax.Array, ...]:
        there, number = jnp.any(slope != 0, -1, keepdims=True), jnp.asarray(count, slope.dtype)
        mean = jnp.where(there, 0.9 * mean + 0.1 * slope, mean)
        square = jnp.where(there, 0.999 * square + 0.001 * slope**2, square)
        size = rate * jnp.sqrt(1 - 0.999**number) / (1 - 0.9**number)
        return jnp.where(there, -size * mean / (jnp.sqrt(square) + 1e-8), 0), mean, square

    def init(parameters: Any) -> Moments:
        zeros = jax.tree.map(jnp.zeros_like, parameters)
        return Moments(zeros, zeros, jnp.zeros((), int))

    def update(slopes: Any, state: Moments, _: Any = None) -> tuple[Any, Moments]:
        count = state.steps + 1
        given = (jax.tree.leaves(tree) for tree in (slopes, state.exp_avg, state.exp_avg_sq))
        each = (stepped(slope, mean, square, count) for slope, mean, square in zip(*given, strict=True))
        found = zip(*each, strict=True)
        updates, mean, square = (jax.tree.unflatten(jax.tree.structure(slopes), arrays) for arrays in found)
        return updates, Moments(mean, square, count)

    return optax.GradientTransformation(init, update)


class Alone(nn.Module):
    """Nothing but an embedding, since SparseAdam takes no other gradients."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Embedding(TOKENS, small_torch.CLASSES, sparse=True)

    def forward(self, tokens: Tensor) -> Tensor:
        return self.embed(tokens).mean(1)  # type: ignore[no-any-return]


class AloneInJax(nnx.Module):
    def __init__(self, rngs: nnx.Rngs) -> None:
        self.embed = nnx.Embed(TOKENS, small_jax.CLASSES, rngs=rngs)

    def __call__(self, tokens: jax.Array) -> jax.Array:
        return self.embed(tokens).mean(1)


@pytest.mark.parametrize(("rate", "outcome"), [(0.1, "agree"), (0.11, "differ")])
def test_an_optimizer_that_asks_for_sparse_gradients_has_them_in_every_step(rate: float, outcome: str) -> None:
    sparse = lambda parameters: torch.optim.SparseAdam(list(parameters), lr=0.1)  # noqa: E731
    verdict = checked(Alone, AloneInJax, sparse, partial(lazy_adam, rate))
    assert verdict.outcome == outcome, verdict.first_difference
