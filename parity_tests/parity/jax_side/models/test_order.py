"""Where a module of Flax NNX stands on the torch side, and in which order it is handed its features there."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import jax
import numpy as np
import pytest
import torch
from flax import nnx

from parity import Pair, random_batches
from parity.jax_side.models.nnx import OfNnx
from parity.jax_side.models.places import places_of
from parity.parts import Parts


class Conv1D(torch.nn.Module):
    """The linear layer of transformers' GPT-2: its weight is (in, out)."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.randn(4, 4))
        self.bias = torch.nn.Parameter(torch.zeros(4))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x @ self.weight + self.bias


class Torch(torch.nn.Module):
    def __init__(self, layer: type[torch.nn.Module]) -> None:
        super().__init__()
        self.layer = layer() if layer is Conv1D else layer(4, 4)


class Jax(nnx.Module):
    def __init__(self, rngs: nnx.Rngs) -> None:
        self.layer = nnx.Linear(4, 4, rngs=rngs)

    def __call__(self, x: jax.Array) -> jax.Array:
        return self.layer(x)


def order(layer: type[torch.nn.Module], lines: Mapping[str, str]) -> Any:
    """In which order the layer's features are handed to it on the torch side; None: in the same."""

    def predict(model: Any, batch: Any) -> Any:
        return model(batch["x"])

    pair = Pair(
        torch=dict(model=lambda: Torch(layer), predict=predict), jax=dict(model=Jax, predict=predict),
        batches=random_batches(x=(2, 4), steps=1), stages=("forward",), weight_map=lines,
    )  # fmt: skip
    (place,) = places_of(OfNnx(Parts(pair.jax, "jax"), "float64").map).values()
    assert place.name == "layer"
    return None if place.order is None else place.order.tolist()


@pytest.mark.parametrize(
    ("layer", "lines"),
    [
        (torch.nn.Linear, {}),
        (torch.nn.Linear, {"layer.weight": "as is"}),
        (Conv1D, {}),
        (Conv1D, {"layer.weight": "transpose"}),
    ],
)
def test_the_features_are_in_order_whichever_way_a_kernel_is_turned(
    layer: type[torch.nn.Module], lines: Mapping[str, str]
) -> None:
    assert order(layer, lines) is None


def test_the_features_behind_a_flattened_convolution_are_told_in_torchs_order() -> None:
    expected = np.arange(4).reshape(2, 1, 2).transpose(2, 0, 1).ravel().tolist()
    assert order(torch.nn.Linear, {"layer.weight": "flatten 2 2 1"}) == expected
