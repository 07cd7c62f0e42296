"""A dropout in place changes what it was given, on torch's side: its port reads the changed numbers everywhere."""

from __future__ import annotations

from functools import partial
from typing import Any

import jax
import pytest
from flax import nnx
from torch import Tensor, nn

from parity import Pair, check, random_batches
from parity.verdict import Verdict

pytestmark = pytest.mark.usefixtures("compiled_quickly")

FEATURES, CLASSES, RATE = 5, 3, 0.25


class Net(nn.Module):
    """Adds what a dropout gives to what it was given, which one in place has changed."""

    def __init__(self, function: bool) -> None:
        super().__init__()
        self.inner, self.outer = nn.Linear(FEATURES, FEATURES), nn.Linear(FEATURES, CLASSES)
        self.drop, self.function = nn.Dropout(RATE, inplace=True), function

    def forward(self, x: Tensor) -> Tensor:
        h = self.inner(x)
        dropped = nn.functional.dropout(h, RATE, self.training, inplace=True) if self.function else self.drop(h)
        return self.outer(h + dropped)  # type: ignore[no-any-return]


class Port(nnx.Module):
    def __init__(self, rngs: nnx.Rngs, in_place: bool) -> None:
        self.inner, self.outer = nnx.Linear(FEATURES, FEATURES, rngs=rngs), nnx.Linear(FEATURES, CLASSES, rngs=rngs)
        self.drop, self.in_place = nnx.Dropout(RATE, rngs=rngs), in_place

    def __call__(self, x: jax.Array) -> jax.Array:
        h = self.inner(x)
        dropped = self.drop(h)
        return self.outer((dropped if self.in_place else h) + dropped)


def torch_loss(model: Any, batch: Any) -> Tensor:
    return nn.functional.cross_entropy(model(batch["inputs"]), batch["labels"])


def jax_loss(model: Any, batch: Any) -> jax.Array:
    picked = jax.nn.log_softmax(model(batch["inputs"])) * jax.nn.one_hot(batch["labels"], CLASSES)
    return -picked.sum(-1).mean()


def checked(function: bool, in_place: bool) -> Verdict:
    return check(
        Pair(
            name="in place", torch={"model": partial(Net, function), "loss": torch_loss},
            jax={"model": partial(Port, in_place=in_place), "loss": jax_loss},
            batches=random_batches(inputs=(8, FEATURES), labels=(8,), classes=CLASSES, steps=2),
            stages=("data", "init", "forward", "loss", "backward"),
        ),
        dtypes=("float64",),
    )  # fmt: skip


@pytest.mark.parametrize("function", [False, True], ids=["layer", "function"])
def test_a_port_that_reads_what_a_dropout_in_place_left_agrees_and_one_that_reads_what_it_was_given_does_not(
    function: bool,
) -> None:
    right = checked(function, in_place=True)
    assert right.outcome == "agree", right.first_difference or [stage.reason for stage in right.stages]
    wrong = checked(function, in_place=False)
    assert wrong.outcome == "differ"
    assert wrong.first_difference is not None
    assert str(wrong.first_difference.comparison.key) == "forward, step 0, outer.input"
