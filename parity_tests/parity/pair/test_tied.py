"""Tied weights of a checkpoint, which has them under every name or under one of several."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import torch
from flax import nnx
from torch import Tensor, nn

from parity import NotCheckable, Pair, check, checkpoint, random_batches, whole
from parity.pair.tied import under_first_names
from parity.recording import Arrays

TIED = {"head.weight": "embed.weight", "last.weight": "embed.weight"}
ONE, OTHER = np.ones((2, 3)), np.zeros((2, 3))
BIAS = np.ones(2)


@pytest.mark.parametrize("names", [("embed", "head", "last"), ("embed",), ("head", "last"), ("last",)])
def test_what_is_tied_stands_under_its_first_name_whichever_names_a_checkpoint_has(names: tuple[str, ...]) -> None:
    given = {"head.bias": BIAS} | {f"{name}.weight": ONE for name in names}
    found = under_first_names(given, TIED)
    assert found.keys() == {"embed.weight", "head.bias"}
    assert found["embed.weight"] is ONE


def test_what_is_not_a_number_is_the_same_as_itself() -> None:
    odd = np.array([1.0, np.nan])
    assert under_first_names({"head.weight": odd, "embed.weight": odd.copy()}, TIED).keys() == {"embed.weight"}


@pytest.mark.parametrize(
    "given", [{"embed.weight": ONE, "head.weight": OTHER}, {"last.weight": ONE, "head.weight": BIAS}]
)
def test_two_names_of_one_tensor_with_other_numbers_are_refused(given: Arrays) -> None:
    with pytest.raises(NotCheckable, match=r"hold other numbers in .* than in embed.weight, which are one tensor"):
        under_first_names(given, TIED)


class Net(nn.Module):
    """Words in, words out, by one table."""

    def __init__(self, *, tied: bool = True) -> None:
        super().__init__()
        self.embed = nn.Embedding(7, 4)
        self.head = nn.Linear(4, 7, bias=False)
        if tied:
            self.head.weight = self.embed.weight

    def forward(self, tokens: Tensor) -> Tensor:
        found: Tensor = self.head(torch.tanh(self.embed(tokens)))
        return found


class NetTwin(nnx.Module):
    """The same in JAX."""

    def __init__(self, rngs: nnx.Rngs) -> None:
        self.embed = nnx.Embed(7, 4, rngs=rngs)

    def __call__(self, tokens: jax.Array) -> jax.Array:
        found: jax.Array = self.embed.attend(jnp.tanh(self.embed(tokens)))
        return found


def loss(model: Any, batch: Any) -> Tensor:
    return nn.functional.cross_entropy(model(batch["tokens"]).flatten(0, 1), batch["labels"].flatten())


def loss_of_twin(model: Any, batch: Any) -> jax.Array:
    return jnp.mean(optax.softmax_cross_entropy_with_integer_labels(model(batch["tokens"]), batch["labels"]))


def pair(file: Path) -> Pair:
    return Pair(
        torch={"model": Net, "loss": loss, "optimizer": partial(torch.optim.SGD, lr=0.1)},
        jax={"model": NetTwin, "loss": loss_of_twin},
        batches=random_batches(tokens=whole(7, 3, 5), labels=(3, 5), classes=7, steps=2),
        parameters=checkpoint(file),
        dtypes=("float64",),
    )


def test_a_model_with_tied_weights_starts_from_its_own_state_dict(tmp_path: Path) -> None:
    torch.save(Net().state_dict(), tmp_path / "weights.pt")
    assert check(pair(tmp_path / "weights.pt")).outcome == "agree"


def test_weights_that_were_not_tied_when_they_were_saved_are_refused(tmp_path: Path) -> None:
    torch.save(Net(tied=False).state_dict(), tmp_path / "weights.pt")
    with pytest.raises(NotCheckable, match=r"other numbers in head.weight than in embed.weight"):
        check(pair(tmp_path / "weights.pt"))
