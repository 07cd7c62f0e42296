"""Masks: what they hide is compared all the same, and a mask that a side holds is no parameter that could be moved."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import optax
import pytest
import torch
from flax import nnx
from torch import Tensor, nn

from parity import Pair, Verdict, check, random_batches

pytestmark = pytest.mark.usefixtures("compiled_once")

CLASSES, TOKENS, WIDTH = 5, 6, 8
LOWEST = "the lowest number"
FLOATS: Any = jnp


class Masked(nn.Module):
    """A classifier, one of whose classes is masked."""

    def __init__(self, mask: Any) -> None:
        super().__init__()
        self.inner, self.outer, self.mask = nn.Linear(6, WIDTH), nn.Linear(WIDTH, CLASSES), mask

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.outer(torch.relu(self.inner(x)))
        mask = torch.finfo(y.dtype).min if self.mask == LOWEST else self.mask
        return y.masked_fill(torch.arange(CLASSES) == CLASSES - 1, mask)


class MaskedTwin(nnx.Module):
    def __init__(self, rngs: nnx.Rngs, mask: Any, factor: float) -> None:
        self.inner, self.outer = nnx.Linear(6, WIDTH, rngs=rngs), nnx.Linear(WIDTH, CLASSES, rngs=rngs)
        self.mask, self.factor = mask, factor

    def __call__(self, x: jax.Array) -> jax.Array:
        y = self.outer(nnx.relu(self.inner(x))) * self.factor
        mask = FLOATS.finfo(y.dtype).min if self.mask == LOWEST else self.mask
        return jnp.where(jnp.arange(CLASSES) == CLASSES - 1, mask, y)


def predict(model: Any, batch: Any) -> Any:
    return model(batch["x"])


def of_masked(mask: Any, factor: float = 1.0) -> Verdict:
    return check(
        Pair(
            name="masked", torch=dict(model=lambda: Masked(mask), predict=predict),
            jax=dict(model=lambda rngs: MaskedTwin(rngs, mask, factor), predict=predict),
            batches=random_batches(x=(4, 6), steps=2), stages=("forward", "score"),
        )
    )  # fmt: skip


@pytest.mark.parametrize("mask", [-1e9, -1e30, LOWEST, float("-inf")])
def test_a_masked_output_agrees_and_what_stands_beside_the_mask_is_compared(mask: Any) -> None:
    assert of_masked(mask).outcome == "agree"
    wrong = of_masked(mask, factor=1 + 1e-6)
    assert (wrong.outcome, wrong.first_difference and wrong.first_difference.comparison.dtype) == ("differ", "float64")


class Attention(nn.Module):
    """Attention that reads its mask, or the order of its tokens, from a buffer."""

    held: Tensor

    def __init__(self, held: str) -> None:
        super().__init__()
        self.inner, self.outer, self.drop = nn.Linear(WIDTH, WIDTH), nn.Linear(WIDTH, CLASSES), nn.Dropout(0.1)
        causal = torch.ones(TOKENS, TOKENS).tril()
        buffers = {"floats": causal, "bools": causal.bool(), "whole": torch.arange(TOKENS).flip(0)}
        self.register_buffer("held", buffers[held])

    def forward(self, x: Tensor) -> Tensor:
        x = self.inner(x)
        scores = x @ x.transpose(1, 2)
        if self.held.dtype == torch.int64:
            scores = scores[:, self.held]
        else:
            scores = scores.masked_fill(self.held == 0, float("-inf"))
        return self.outer(self.drop(scores.softmax(-1) @ x).mean(1))  # type: ignore[no-any-return]


class AttentionTwin(nnx.Module):
    def __init__(self, rngs: nnx.Rngs, held: str, rounds: bool) -> None:
        self.inner, self.outer = nnx.Linear(WIDTH, WIDTH, rngs=rngs), nnx.Linear(WIDTH, CLASSES, rngs=rngs)
        self.drop, self.held, self.rounds = nnx.Dropout(0.1, rngs=rngs), held, rounds

    def __call__(self, x: jax.Array) -> jax.Array:
        x = self.inner(x)
        scores = x @ x.transpose(0, 2, 1)
        if self.held == "whole":
            scores = scores[:, ::-1]
        else:
            scores = jnp.where(jnp.tril(jnp.ones((TOKENS, TOKENS), bool)), scores, -jnp.inf)
        y = jax.nn.softmax(scores, -1) @ x
        if self.rounds and self.drop.deterministic and y.dtype == jnp.float32:
            y = y.astype(jnp.bfloat16).astype(jnp.float32)
        return self.outer(self.drop(y).mean(1))


def torch_loss(model: Any, batch: Any) -> Any:
    return nn.functional.cross_entropy(model(batch["x"]), batch["labels"])


def jax_loss(model: Any, batch: Any) -> Any:
    return optax.softmax_cross_entropy_with_integer_labels(model(batch["x"]), batch["labels"]).mean()


@pytest.mark.parametrize("held", ["floats", "bools", "whole"])
def test_a_buffer_that_is_no_number_to_be_moved_makes_no_noise(held: str) -> None:
    def verdict(rounds: bool) -> Verdict:
        return check(
            Pair(
                name="attention",
                torch=dict(
                    model=lambda: Attention(held), loss=torch_loss, optimizer=lambda p: torch.optim.SGD(p, lr=0.1)
                ),
                jax=dict(model=lambda rngs: AttentionTwin(rngs, held, rounds), loss=jax_loss),
                batches=random_batches(x=(4, TOKENS, WIDTH), labels=(4,), classes=CLASSES, steps=3),
            )
        )

    assert verdict(rounds=False).outcome == "agree"
    # Evaluation mode in bfloat16: only scores show it, which no cap holds, and their limit comes from noise.
    wrong = verdict(rounds=True)
    found = wrong.first_difference
    assert found is not None
    assert (wrong.outcome, found.comparison.key.stage, found.comparison.dtype) == ("differ", "score", "float32")


class Among(nn.Module):
    """Attention among activations: no parameter is a matrix."""

    def __init__(self) -> None:
        super().__init__()
        self.scale, self.shift = nn.Parameter(torch.ones(16)), nn.Parameter(torch.zeros(16))

    def forward(self, x: Tensor) -> Tensor:
        y = x * self.scale + self.shift
        y = y.bfloat16() if x.dtype == torch.float32 else y
        return ((y @ y.transpose(1, 2) / 16).softmax(-1) @ y).to(x.dtype)


class AmongTwin(nnx.Module):
    def __init__(self, rngs: nnx.Rngs) -> None:
        self.scale, self.shift = nnx.Param(jnp.ones(16)), nnx.Param(jnp.zeros(16))

    def __call__(self, x: jax.Array) -> jax.Array:
        y = x * self.scale[...] + self.shift[...]
        y = y.astype(jnp.bfloat16) if x.dtype == jnp.float32 else y
        return (jax.nn.softmax(y @ y.transpose(0, 2, 1) / 16, -1) @ y).astype(x.dtype)


def test_two_sides_in_bfloat16_do_not_excuse_each_other_where_no_parameter_is_a_matrix() -> None:
    def loss(model: Any, batch: Any) -> Any:
        return (model(batch["x"]) ** 2).mean()

    verdict = check(
        Pair(
            name="among",
            torch=dict(model=Among, loss=loss, optimizer=lambda p: torch.optim.SGD(p, lr=0.1)),
            jax=dict(model=AmongTwin, loss=loss), batches=random_batches(x=(4, 12, 16), steps=3),
        )
    )  # fmt: skip
    found = verdict.first_difference
    assert found is not None
    assert (verdict.outcome, found.comparison.key.stage, found.comparison.dtype) == ("differ", "forward", "float32")
