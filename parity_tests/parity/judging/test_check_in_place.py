"""What changes its input in place on torch's side, a dropout or a layer: its port reads the changed numbers too."""

from __future__ import annotations

from functools import partial
from typing import Any

import jax
import pytest
import torch
from flax import nnx
from torch import Tensor, nn

from parity_tests.parity.one_pass import of_a_pass
from parity_tests.parity.small_torch import CLASSES, FEATURES

pytestmark = pytest.mark.usefixtures("compiled_quickly")

RATE = 0.25


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


MODELS: dict[str, tuple[Any, Any]] = {
    "dropout": (partial(Net, False), Port),
    "function": (partial(Net, True), Port),
    "layer": (Positioned, PortOfPositioned),
}


@pytest.mark.parametrize(("model", "port"), MODELS.values(), ids=MODELS)
def test_a_port_that_reads_what_was_left_in_place_agrees_and_one_that_reads_what_was_given_does_not(
    model: Any, port: Any
) -> None:
    right = of_a_pass(model, partial(port, in_place=True))
    assert right.outcome == "agree", right.first_difference or [stage.reason for stage in right.stages]
    wrong = of_a_pass(model, partial(port, in_place=False))
    assert wrong.outcome == "differ"
    assert wrong.first_difference is not None
    assert str(wrong.first_difference.comparison.key) == "forward, step 0, outer.input"
