"""Activation checkpointing and `torch.compile` on torch's side: the same network, and every layer of it is seen."""

from __future__ import annotations

from functools import partial
from typing import Any

import jax
import pytest
import torch
from flax import nnx
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from parity_tests.parity.one_pass import of_a_pass
from parity_tests.parity.small_torch import CLASSES, FEATURES

pytestmark = pytest.mark.usefixtures("compiled_quickly")

RATE = 0.25


class Block(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.fc, self.drop = nn.Linear(FEATURES, FEATURES), nn.Dropout(RATE)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.drop(self.fc(x).relu())  # type: ignore[no-any-return]


class Net(nn.Module):
    """Two blocks, each computed again on the way back."""

    def __init__(self, use_reentrant: bool) -> None:
        super().__init__()
        self.first, self.blocks = nn.Linear(FEATURES, FEATURES), nn.ModuleList(Block() for _ in range(2))
        self.head, self.again = nn.Linear(FEATURES, CLASSES), partial(checkpoint, use_reentrant=use_reentrant)

    def forward(self, x: Tensor) -> Tensor:
        x = self.first(x)
        for block in self.blocks:
            x = self.again(block, x)
        return self.head(x)  # type: ignore[no-any-return]


class PortOfBlock(nnx.Module):
    def __init__(self, rngs: nnx.Rngs, sign: float) -> None:
        self.fc, self.drop = nnx.Linear(FEATURES, FEATURES, rngs=rngs), nnx.Dropout(RATE, rngs=rngs)
        self.sign = sign

    def __call__(self, x: jax.Array) -> jax.Array:
        return x + self.drop(nnx.relu(self.sign * self.fc(x)))


class Port(nnx.Module):
    def __init__(self, rngs: nnx.Rngs, sign: float = 1.0) -> None:
        self.first = nnx.Linear(FEATURES, FEATURES, rngs=rngs)
        self.blocks = nnx.List([PortOfBlock(rngs, one) for one in (1.0, sign)])
        self.head = nnx.Linear(FEATURES, CLASSES, rngs=rngs)

    def __call__(self, x: jax.Array) -> jax.Array:
        x = self.first(x)
        for block in self.blocks:
            x = block(x)
        return self.head(x)


def compiled() -> nn.Module:
    return torch.compile(Net(use_reentrant=False), backend="eager")  # type: ignore[return-value]


def compiled_inside() -> nn.Module:
    model = Net(use_reentrant=False)
    model.forward = torch.compile(model.forward, backend="eager")  # type: ignore[method-assign]
    return model


MODELS: dict[str, tuple[Any, str]] = {
    "reentrant": (partial(Net, True), ""),
    "not reentrant": (partial(Net, False), ""),
    "compiled": (compiled, "_orig_mod."),
    "compiled inside": (compiled_inside, ""),
}
"""Each with what the names of its layers begin with."""


@pytest.mark.parametrize(("model", "prefix"), MODELS.values(), ids=MODELS)
def test_a_right_port_agrees_and_a_wrong_one_is_told_by_its_layer(model: Any, prefix: str) -> None:
    right = of_a_pass(model, Port)
    assert right.outcome == "agree", right.first_difference or [stage.reason for stage in right.stages]
    assert not [line for line in right.listed if "never calls" in line]
    wrong = of_a_pass(model, partial(Port, sign=-1.0))
    assert wrong.outcome == "differ"
    assert wrong.first_difference is not None
    assert str(wrong.first_difference.comparison.key) == f"forward, step 0, {prefix}head.input"
