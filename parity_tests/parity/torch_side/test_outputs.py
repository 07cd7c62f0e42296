"""Outputs with several tensors are told in one order, whatever the order in which a dict was filled."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import numpy as np
import optax
import pytest
import torch
from flax import nnx
from torch import Tensor, nn

from parity import NotCheckable, Pair, check, random_batches
from parity.torch_side.outputs import checked_output, leaves_of, mapped, tensors_of
from parity.verdict import Verdict


def test_the_order_is_that_of_jax() -> None:
    tree = {"b": [1, {"d": 2, "c": 3}], "a": (4, None, {"e": 5})}
    assert [leaf for leaf in leaves_of(tree) if leaf is not None] == jax.tree.leaves(tree)


@dataclass
class Given:
    """What a library's model gives."""

    second: Any
    first: Any = None


class AsInTransformers(OrderedDict[str, Any]):
    """As there, a dict of a class of its own."""


def test_what_has_names_is_in_their_order() -> None:
    assert leaves_of(Given(2, 1)) == [1, 2]
    assert leaves_of([Given(3, {"b": 2, "a": 1})]) == [1, 2, 3]
    assert leaves_of(AsInTransformers(second=2, first=1)) == [1, 2]
    ordered = OrderedDict(second=2, first=1)
    assert leaves_of(ordered) == jax.tree.leaves(ordered) == [2, 1]


def test_an_output_is_built_again() -> None:
    given: list[Any] = [Given(1, {"b": (2, None)}), AsInTransformers(x=3), OrderedDict(y=4)]
    found = mapped(lambda leaf: leaf if leaf is None else 10 * leaf, given)
    assert found == [Given(10, {"b": (20, None)}), AsInTransformers(x=30), OrderedDict(y=40)]
    assert isinstance(found[1], AsInTransformers)
    assert given[1]["x"] == 3


def test_a_model_that_gives_something_else_is_asked_for_predict() -> None:
    with pytest.raises(NotCheckable, match="the torch side's model gave a str: expected a tensor: name the part `pred"):
        checked_output("model", "much")
    with pytest.raises(NotCheckable, match=r"the torch side's predict gave a str: expected a tensor$"):
        checked_output("predict", "much")


def test_only_tensors_are_named() -> None:
    two, one = torch.ones(2), torch.ones(1)
    found = tensors_of({"second": two, "first": one, "more": [3, None]})
    assert list(found) == ["output", "output1"]
    assert found["output"] is one
    assert found["output1"] is two


@dataclass
class Named:
    wide: Any
    again: Any
    narrow: Any


@jax.tree_util.register_dataclass
@dataclass
class NamedOfJax:
    narrow: Any
    wide: Any
    again: Any


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


class TwoNamed(Two):
    """Gives an object."""

    def forward(self, inputs: Tensor) -> Any:
        found = super().forward(inputs)
        return Named(**found)


class TwoNamedInJax(TwoInJax):
    """Gives one, too, whose fields stand in another order."""

    def __call__(self, inputs: jax.Array) -> Any:
        return NamedOfJax(**super().__call__(inputs))


class Inside(nn.Module):
    """Has a layer that gives an object and holds an array of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.two = TwoNamed()

    def forward(self, inputs: Tensor) -> dict[str, Tensor]:
        found: dict[str, Tensor] = vars(self.two(inputs))
        return found


class InsideInJax(nnx.Module):
    def __init__(self, rngs: nnx.Rngs, inner: Any) -> None:
        self.two = inner(rngs)

    def __call__(self, inputs: jax.Array) -> Any:
        found = self.two(inputs)
        return found if isinstance(found, dict) else vars(found)


class Fewer(TwoInJax):
    """Gives less."""

    def __call__(self, inputs: jax.Array) -> dict[str, jax.Array]:
        found = super().__call__(inputs)
        return {"narrow": found["narrow"], "wide": found["wide"]}


def loss(model: Any, batch: Any) -> Any:
    found = model(batch["inputs"])
    named = found if isinstance(found, dict) else vars(found)
    return ((named["wide"] - 2 * named["narrow"] + 1) ** 2).mean()


def checked(ours: Any, model: Any, within: str = "") -> Verdict:
    """The verdict on two steps; the layers are `within` a module of that name."""
    drawn = {"inner.weight": np.random.default_rng(0).standard_normal((4, 5)), "inner.bias": np.arange(4.0)}
    parameters = {f"{within}{name}": array for name, array in (drawn | {"scale": np.arange(4.0) + 2}).items()}
    pair = Pair(
        torch={"model": ours, "loss": loss, "optimizer": lambda parameters: torch.optim.SGD(parameters, lr=0.1)},
        jax={"model": model, "loss": loss, "optimizer": lambda: optax.sgd(0.1)},
        batches=random_batches(inputs=(8, 5), steps=2), parameters=lambda seed: parameters,
    )  # fmt: skip
    return check(pair, dtypes=("float64",))


@pytest.mark.parametrize(
    ("ours", "model", "outcome"),
    [
        (Two, TwoInJax, "agree"), (Two, Exchanged, "differ"),
        (TwoNamed, TwoInJax, "agree"), (TwoNamed, TwoNamedInJax, "agree"), (TwoNamed, Exchanged, "differ"),
    ],
)  # fmt: skip
def test_a_model_that_gives_a_dict_is_compared_key_by_key(ours: type[Two], model: type[TwoInJax], outcome: str) -> None:
    verdict = checked(ours, model)
    assert verdict.outcome == outcome, verdict.first_difference
    assert {"output", "output1", "output2"} <= {c.key.tensor for c in verdict.comparisons}


@pytest.mark.parametrize(("inner", "outcome"), [(TwoInJax, "agree"), (TwoNamedInJax, "agree"), (Exchanged, "differ")])
def test_so_is_a_layer(inner: type[TwoInJax], outcome: str) -> None:
    verdict = checked(Inside, partial(InsideInJax, inner=inner), "two.")
    assert verdict.outcome == outcome, verdict.first_difference
    assert {"two.output", "two.output1", "two.output2"} <= {c.key.tensor for c in verdict.comparisons}


def test_a_model_that_gives_less_is_told_so() -> None:
    told = "the model gives 3 tensors on the torch side and 2 tensors on the jax side: have `predict` of both sides"
    assert told in str(checked(Two, Fewer).first_difference)
