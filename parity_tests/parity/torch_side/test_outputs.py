"""Outputs with several tensors are told in one order, whatever the order in which a dict was filled."""

from __future__ import annotations

from typing import Any

import jax
import numpy as np
import optax
import pytest
import torch
from flax import nnx
from torch import Tensor, nn

from parity import Pair, check, random_batches
from parity.torch_side.outputs import leaves_of, tensors_of


def test_the_order_is_that_of_jax() -> None:
    tree = {"b": [1, {"d": 2, "c": 3}], "a": (4, None, {"e": 5})}
    assert [leaf for leaf in leaves_of(tree) if leaf is not None] == jax.tree.leaves(tree)


def test_only_tensors_are_named() -> None:
    two, one = torch.ones(2), torch.ones(1)
    found = tensors_of({"second": two, "first": one, "more": [3, None]})
    assert list(found) == ["output", "output1"]
    assert found["output"] is one
    assert found["output1"] is two


class Two(nn.Module):
    """Two layers side by side; the dict is filled in another order than its keys have. One tensor is in it twice."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.Linear(5, 4)
        self.scale = nn.Parameter(torch.ones(4))

    def forward(self, inputs: Tensor) -> dict[str, Tensor]:
        hidden = self.inner(inputs)
        return {"wide": hidden * self.scale, "again": hidden, "narrow": hidden}


class TwoInJax(nnx.Module):
    """The same, filled in the order of the keys."""

    def __init__(self, rngs: nnx.Rngs) -> None:
        self.inner = nnx.Linear(5, 4, rngs=rngs)
        self.scale = nnx.Param(jax.numpy.ones(4))

    def __call__(self, inputs: jax.Array) -> dict[str, jax.Array]:
        hidden = self.inner(inputs)
        return {"again": hidden, "narrow": hidden, "wide": hidden * self.scale[...]}


class Exchanged(TwoInJax):
    """The planted mistake."""

    def __call__(self, inputs: jax.Array) -> dict[str, jax.Array]:
        found = super().__call__(inputs)
        return found | {"narrow": found["wide"], "wide": found["narrow"]}


@pytest.mark.parametrize(("model", "outcome"), [(TwoInJax, "agree"), (Exchanged, "differ")])
def test_a_model_that_gives_a_dict_is_compared_key_by_key(model: type[TwoInJax], outcome: str) -> None:
    def loss(model: Any, batch: Any) -> Any:
        found = model(batch["inputs"])
        return ((found["wide"] - 2 * found["narrow"] + 1) ** 2).mean()

    pair = Pair(
        torch={"model": Two, "loss": loss, "optimizer": lambda parameters: torch.optim.SGD(parameters, lr=0.1)},
        jax={"model": model, "loss": loss, "optimizer": lambda: optax.sgd(0.1)},
        batches=random_batches(inputs=(8, 5), steps=2),
        parameters=lambda seed: {
            "inner.weight": np.random.default_rng(seed).standard_normal((4, 5)),
            "inner.bias": np.arange(4.0),
            "scale": np.arange(4.0) + 2,
        },
    )
    verdict = check(pair, dtypes=("float64",))
    assert verdict.outcome == outcome, verdict.first_difference
    assert {"output", "output1", "output2"} <= {c.key.tensor for c in verdict.comparisons}
