"""An `nn.Embedding(sparse=True)`, whose gradient holds the rows of the batch alone."""

from __future__ import annotations

from typing import Any

import jax
import optax
import pytest
import torch
from flax import nnx
from torch import Tensor, nn

from parity import Pair, check, random_batches, whole
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


@pytest.mark.parametrize(("port", "outcome"), [(Port, "agree"), (Summed, "differ")])
def test_its_gradient_is_compared_with_all_rows(port: Any, outcome: str) -> None:
    pair = Pair(
        name="sparse",
        torch={"model": Net, "loss": small_torch.loss, "optimizer": lambda p: torch.optim.SGD(p, lr=0.1)},
        jax={"model": port, "loss": small_jax.loss, "optimizer": lambda: optax.sgd(0.1)},
        batches=random_batches(inputs=whole(TOKENS, 8, 3), labels=(8,), classes=small_torch.CLASSES, steps=2),
    )
    verdict = check(pair, dtypes=("float64",))
    assert verdict.outcome == outcome, verdict.first_difference
    assert any(c.key.stage == "backward" and c.key.tensor == "embed.weight" for c in verdict.comparisons)
