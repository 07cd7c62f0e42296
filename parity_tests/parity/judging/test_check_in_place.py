"""What changes its input in place on torch's side, a dropout or a layer: its port reads the changed numbers too."""

from __future__ import annotations

from functools import partial
from typing import Any

import jax
import pytest
import torch
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


class Positions(nn.Module):
    """Adds its positions to what it is given, in place."""

    def __init__(self) -> None:
        super().__init__()
        self.positions = nn.Parameter(torch.linspace(-1.0, 1.0, FEATURES))

    def forward(self, x: Tensor) -> Tensor:
        x += self.positions
        return x


class Positioned(nn.Module):
    """Adds what a layer gives to what it was given."""

    def __init__(self) -> None:
        super().__init__()
        self.inner, self.outer = nn.Linear(FEATURES, FEATURES), nn.Linear(FEATURES, CLASSES)
        self.positions = Positions()

    def forward(self, x: Tensor) -> Tensor:
        h = self.inner(x)
        positioned = self.positions(h)
        return self.outer(3 * h + positioned)  # type: ignore[no-any-return]


class PortOfPositions(nnx.Module):
    def __init__(self, rngs: nnx.Rngs) -> None:
        self.positions = nnx.Param(jax.numpy.zeros(FEATURES))

    def __call__(self, x: jax.Array) -> jax.Array:
        return x + self.positions[...]


class PortOfPositioned(nnx.Module):
    def __init__(self, rngs: nnx.Rngs, in_place: bool) -> None:
        self.inner, self.outer = nnx.Linear(FEATURES, FEATURES, rngs=rngs), nnx.Linear(FEATURES, CLASSES, rngs=rngs)
        self.positions, self.in_place = PortOfPositions(rngs), in_place

    def __call__(self, x: jax.Array) -> jax.Array:
        h = self.inner(x)
        positioned = self.positions(h)
        return self.outer(3 * (positioned if self.in_place else h) + positioned)


def torch_loss(model: Any, batch: Any) -> Tensor:
    return nn.functional.cross_entropy(model(batch["inputs"]), batch["labels"])


def jax_loss(model: Any, batch: Any) -> jax.Array:
    picked = jax.nn.log_softmax(model(batch["inputs"])) * jax.nn.one_hot(batch["labels"], CLASSES)
    return -picked.sum(-1).mean()


MODELS: dict[str, tuple[Any, Any]] = {
    "dropout": (partial(Net, False), Port),
    "function": (partial(Net, True), Port),
    "layer": (Positioned, PortOfPositioned),
}


def checked(what: str, in_place: bool) -> Verdict:
    model, port = MODELS[what]
    return check(
        Pair(
            name="in place", torch={"model": model, "loss": torch_loss},
            jax={"model": partial(port, in_place=in_place), "loss": jax_loss},
            batches=random_batches(inputs=(8, FEATURES), labels=(8,), classes=CLASSES, steps=2),
            stages=("data", "init", "forward", "loss", "backward"),
        ),
        dtypes=("float64",),
    )  # fmt: skip


@pytest.mark.parametrize("what", MODELS)
def test_a_port_that_reads_what_was_left_in_place_agrees_and_one_that_reads_what_was_given_does_not(what: str) -> None:
    right = checked(what, in_place=True)
    assert right.outcome == "agree", right.first_difference or [stage.reason for stage in right.stages]
    wrong = checked(what, in_place=False)
    assert wrong.outcome == "differ"
    assert wrong.first_difference is not None
    assert str(wrong.first_difference.comparison.key) == "forward, step 0, outer.input"
