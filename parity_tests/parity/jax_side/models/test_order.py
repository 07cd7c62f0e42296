"""Where a module of Flax NNX stands on the torch side, and in which order its features go in and come out there."""

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
from parity.sides.parts import Parts


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


class Vectors(torch.nn.Module):
    """A norm of features without weights of more axes: its vectors are all that tells their order."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = torch.nn.BatchNorm1d(4)


class JaxVectors(nnx.Module):
    def __init__(self, rngs: nnx.Rngs) -> None:
        self.layer = nnx.BatchNorm(4, rngs=rngs)


def orders(torch_model: Any, jax_model: Any, lines: Mapping[str, str]) -> tuple[Any, Any]:
    """In which order a layer's features go in and come out on the torch side; None: in the same."""

    def predict(model: Any, batch: Any) -> Any:
        return model(batch["x"])

    pair = Pair(
        torch=dict(model=torch_model, predict=predict), jax=dict(model=jax_model, predict=predict),
        batches=random_batches(x=(2, 4), steps=1), stages=("forward",), weight_map=lines,
    )  # fmt: skip
    (place,) = places_of(OfNnx(Parts(pair.jax, "jax"), "float64").map).values()
    assert place.name == "layer"
    return tuple(None if order is None else order.tolist() for order in (place.takes.order, place.gives.order))  # type: ignore[return-value]


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
    assert orders(lambda: Torch(layer), Jax, lines) == (None, None)


TURNED = np.arange(4).reshape(2, 1, 2).transpose(2, 0, 1).ravel().tolist()


@pytest.mark.parametrize(("verb", "expected"), [("flatten", (TURNED, None)), ("unflatten", (None, TURNED))])
def test_the_features_behind_or_before_a_convolution_are_told_in_torchs_order(verb: str, expected: Any) -> None:
    assert orders(lambda: Torch(torch.nn.Linear), Jax, {"layer.weight": f"{verb} 2 2 1"}) == expected


def test_a_norm_of_such_features_is_told_by_its_vectors() -> None:
    own = ("weight", "bias", "running_mean", "running_var")
    assert orders(Vectors, JaxVectors, {f"layer.{name}": "unflatten 2 2 1" for name in own}) == (TURNED, TURNED)
