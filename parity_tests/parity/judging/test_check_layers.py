"""What the engine sees of layers in models of the user's, and what only one side can show of them."""

from __future__ import annotations

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import optax
import pytest
import torch
from flax import nnx
from torch import Tensor, nn

from parity import Pair, check, random_batches, whole
from parity.errors import NotCheckable
from parity.judging.summary import KEPT_DTYPE
from parity.verdict import Verdict
from parity_tests.ports.counterparts import BatchNorm

pytestmark = pytest.mark.usefixtures("compiled_quickly")


def torch_loss(model: nn.Module, batch: dict[str, Tensor]) -> Tensor:
    found: Tensor = (model(batch["inputs"]) ** 2).mean()
    return found


def jax_loss(model: Any, batch: dict[str, jax.Array]) -> jax.Array:
    return jnp.mean(model(batch["inputs"]) ** 2)


def checked(torch_model: Any, jax_model: Any, **others: Any) -> Verdict:
    """What a check in float64 finds of two models whose loss is a mean square."""
    given = {"batches": random_batches(inputs=(6, 4), steps=2), **others}
    torch_side = {"model": torch_model, "loss": torch_loss, "optimizer": lambda p: torch.optim.SGD(p, lr=0.1)}
    torch_side |= given.pop("torch", {})
    jax_side = {"model": jax_model, "loss": jax_loss, "optimizer": lambda: optax.sgd(0.1)} | given.pop("jax", {})
    pair = Pair(torch=torch_side, jax=jax_side, **given)
    return check(pair, dtypes=("float64",))


def first_of(verdict: Verdict) -> str:
    assert verdict.first_difference is not None, [stage.reason for stage in verdict.stages]
    return verdict.first_difference.comparison.key.tensor


# A layer that owns only buffers


class Plain(BatchNorm):
    """Batch norm without weights, as torch has it with `affine=False`."""

    def __init__(self, features: int, rngs: nnx.Rngs, epsilon: float = 1e-5) -> None:
        super().__init__(features, rngs=rngs)
        self.scale = self.bias = None
        self.use_scale = self.use_bias = False
        self.epsilon = epsilon


def normed() -> nn.Module:
    return nn.Sequential(nn.Linear(4, 5), nn.BatchNorm1d(5, affine=False), nn.Linear(5, 3))


@pytest.mark.parametrize("epsilon", [1e-5, 1e-3])
def test_a_norm_without_weights_is_compared_as_a_layer(epsilon: float) -> None:
    def model(rngs: nnx.Rngs) -> nnx.Module:
        return nnx.Sequential(nnx.Linear(4, 5, rngs=rngs), Plain(5, rngs, epsilon), nnx.Linear(5, 3, rngs=rngs))

    verdict = checked(normed, model)
    assert "1.input" in {c.key.tensor for c in verdict.comparisons}
    if epsilon == 1e-5:
        assert verdict.outcome == "agree", verdict.first_difference or [stage.reason for stage in verdict.stages]
    else:
        assert first_of(verdict) == "1.output"


# A layer that one side never calls


class Indexed(nnx.Module):
    """Reads its table instead of calling it; `offset` is the mistake."""

    def __init__(self, rngs: nnx.Rngs, offset: int = 0) -> None:
        self.table, self.outer = nnx.Embed(7, 4, rngs=rngs), nnx.Linear(4, 3, rngs=rngs)
        self.offset = offset

    def __call__(self, words: jax.Array) -> jax.Array:
        return self.outer(self.table.embedding[...][(words + self.offset) % 7])


class Called(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.table, self.outer = nn.Embedding(7, 4), nn.Linear(4, 3)

    def forward(self, words: Tensor) -> Tensor:
        found: Tensor = self.outer(self.table(words))
        return found


class Stock(nnx.Module):
    """Calls its table as it is; a `dtype` of its own is the mistake."""

    def __init__(self, rngs: nnx.Rngs, dtype: Any = None) -> None:
        self.table, self.outer = nnx.Embed(7, 4, dtype=dtype, rngs=rngs), nnx.Linear(4, 3, rngs=rngs)

    def __call__(self, words: jax.Array) -> jax.Array:
        return self.outer(self.table(words))


class CalledTwice(Called):
    def forward(self, words: Tensor) -> Tensor:
        self.outer(self.table(words))
        return super().forward(words)


WORDS = random_batches(inputs=whole(7, 6), steps=2)
NEVER = "layers that the jax side never calls: of table, only parameters and gradients are compared; `parity.tap` may show more"  # noqa: E501


def test_an_embedding_has_the_dtype_of_its_parameter_unless_it_asks_for_another() -> None:
    for dtype in (None, jnp.float32):
        verdict = checked(Called, partial(Stock, dtype=dtype), batches=WORDS)
        assert verdict.outcome == "agree", verdict.first_difference or [stage.reason for stage in verdict.stages]
    verdict = checked(Called, partial(Stock, dtype=jnp.bfloat16), batches=WORDS)
    assert first_of(verdict) == "table.output"


def test_a_layer_that_was_made_with_a_dtype_is_told_of() -> None:
    def lower(rngs: nnx.Rngs) -> Stock:
        made = Stock(rngs)
        made.outer.dtype = jnp.float32
        return made

    verdict = checked(Called, lower, batches=WORDS)
    assert first_of(verdict) == "outer.output"
    assert verdict.first_difference is not None
    assert verdict.first_difference.looks_like == KEPT_DTYPE


def test_a_table_that_the_port_only_indexes_is_told_and_its_gradient_is_compared() -> None:
    verdict = checked(Called, Indexed, batches=WORDS)
    assert verdict.outcome == "agree", verdict.first_difference or [stage.reason for stage in verdict.stages]
    assert NEVER in verdict.listed
    compared = {(c.key.stage, c.key.tensor) for c in verdict.comparisons}
    assert ("backward", "table.weight") in compared
    assert ("forward", "table.output") not in compared


def test_a_table_that_is_indexed_wrongly_is_a_difference_where_it_is_first_seen() -> None:
    verdict = checked(Called, lambda rngs: Indexed(rngs, 1), batches=WORDS)
    assert first_of(verdict) == "outer.input"
    assert NEVER in verdict.listed


def test_a_layer_that_both_call_and_one_calls_more_often_is_a_difference() -> None:
    verdict = checked(CalledTwice, Indexed, batches=WORDS)
    assert first_of(verdict) == "outer#2.output"
    assert verdict.first_difference is not None
    assert verdict.first_difference.looks_like == "outer is called twice on the torch side and once on the jax side"


# A model that is called on two views, one after the other or both at once


def squared(one: Any, other: Any) -> Any:
    return ((one * other) ** 2).mean()


def apart(model: Any, batch: Any) -> Any:
    return squared(model(batch["inputs"]), model(batch["views"]))


def together(model: Any, batch: Any, again: bool = False) -> Any:
    found = model(jnp.concatenate([batch["inputs"], batch["inputs" if again else "views"]]))
    return squared(*jnp.split(found, 2))


def of_views(loss: Any, **parts: Any) -> Verdict:
    return checked(
        lambda: nn.Sequential(nn.Linear(4, 5), nn.Linear(5, 3)),
        lambda rngs: nnx.Sequential(nnx.Linear(4, 5, rngs=rngs), nnx.Linear(5, 3, rngs=rngs)),
        torch={"loss": apart, **parts}, jax={"loss": loss, **parts},
        batches=random_batches(inputs=(6, 4), views=(6, 4), steps=2),
    )  # fmt: skip


def test_calls_on_parts_of_what_the_other_side_is_given_together_are_told_and_not_compared() -> None:
    predict = {"predict": lambda model, batch: model(batch["inputs"])}
    verdict = of_views(together, **predict)
    assert verdict.outcome == "agree", verdict.first_difference or [stage.reason for stage in verdict.stages]
    told = "layers that one side calls more often, on fewer examples: of {}, only parameters and gradients are compared"
    assert told.format("{0..1}") in verdict.listed
    assert first_of(of_views(partial(together, again=True), **predict)) == "loss"


def test_what_to_do_about_the_output_of_such_a_model_is_told() -> None:
    verdict = of_views(together)
    assert first_of(verdict) == "output"
    assert verdict.first_difference is not None
    assert verdict.first_difference.looks_like.startswith("where that is meant, name the part `predict` of both sides")


# A layer whose outputs stand in another order


class Unflattening(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.inner, self.norm, self.outer = nn.Linear(4, 12), nn.BatchNorm1d(12), nn.Conv2d(3, 2, 1)

    def forward(self, inputs: Tensor) -> Tensor:
        found: Tensor = self.outer(torch.tanh(self.norm(self.inner(inputs))).reshape(-1, 3, 2, 2))
        return found


class UnflatteningInJax(nnx.Module):
    """Its images have their channels last; `axes` are those that they come with otherwise, by mistake."""

    def __init__(self, rngs: nnx.Rngs, axes: tuple[int, ...] = (0, 1, 2, 3)) -> None:
        self.inner, self.norm = nnx.Linear(4, 12, rngs=rngs), BatchNorm(12, rngs=rngs)
        self.outer, self.axes = nnx.Conv(3, 2, (1, 1), rngs=rngs), axes

    def __call__(self, inputs: jax.Array) -> jax.Array:
        found = jnp.tanh(self.norm(self.inner(inputs))).reshape(-1, 2, 2, 3)
        return self.outer(found.transpose(self.axes)).transpose(0, 3, 1, 2)


OF_NORM = ("norm.weight", "norm.bias", "norm.running_mean", "norm.running_var")
UNFLATTENED = dict.fromkeys(("inner.weight", "inner.bias", *OF_NORM), "unflatten 3 2 2")


@pytest.mark.parametrize(("axes", "first"), [((0, 1, 2, 3), ""), ((0, 2, 1, 3), "outer.input")])
def test_what_is_unflattened_before_a_convolution_is_compared_in_torchs_order(
    axes: tuple[int, ...], first: str
) -> None:
    verdict = checked(Unflattening, lambda rngs: UnflatteningInJax(rngs, axes), weight_map=UNFLATTENED)
    assert {"inner.output", "norm.input", "norm.output"} <= {c.key.tensor for c in verdict.comparisons}
    assert first_of(verdict) == first if first else verdict.outcome == "agree", verdict.first_difference


# A model that is called inside a transformation


def two_layers() -> nn.Module:
    return nn.Sequential(nn.Linear(4, 5), nn.Linear(5, 3))


def two_layers_in_jax(rngs: nnx.Rngs) -> nnx.Module:
    return nnx.Sequential(nnx.Linear(4, 5, rngs=rngs), nnx.Linear(5, 3, rngs=rngs))


def on_each(model: Any, batch: dict[str, jax.Array]) -> jax.Array:
    return jnp.mean(jax.vmap(model)(batch["inputs"]) ** 2)


def turned(model: Any, batch: dict[str, jax.Array]) -> jax.Array:
    return jnp.mean(jax.vmap(model)(batch["inputs"][::-1]) ** 2)


def remade(model: Any, batch: dict[str, jax.Array]) -> jax.Array:
    return jnp.mean(jax.checkpoint(lambda x: model(x))(batch["inputs"]) ** 2)


def copied(model: Any, batch: dict[str, jax.Array]) -> jax.Array:
    found: jax.Array = nnx.jit(lambda m, x: m(x))(model, batch["inputs"])
    return jnp.mean(found**2)


def test_what_a_model_gives_inside_vmap_is_compared_for_all_examples() -> None:
    verdict = checked(two_layers, two_layers_in_jax, jax={"loss": on_each})
    assert verdict.outcome == "agree", verdict.first_difference
    assert ("forward", "output") in {c.key[::2] for c in verdict.comparisons}
    assert first_of(checked(two_layers, two_layers_in_jax, jax={"loss": turned})) == "output"


@pytest.mark.parametrize("loss", [remade, copied])
def test_a_model_inside_another_transformation_asks_for_a_prediction(loss: Any) -> None:
    with pytest.raises(NotCheckable, match=r"is called inside a transformation.*name the part `predict`"):
        checked(two_layers, two_layers_in_jax, jax={"loss": loss})
    named = {"loss": loss, "predict": lambda model, batch: model(batch["inputs"])}
    verdict = checked(two_layers, two_layers_in_jax, jax=named)
    assert verdict.outcome == "agree", verdict.first_difference


# Layers that only their order tells apart


class InThisOrder(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(4, 4), nn.Linear(4, 4)

    def forward(self, inputs: Tensor) -> Tensor:
        found: Tensor = self.second(torch.tanh(self.first(inputs)))
        return found


class InAnother(nnx.Module):
    """Names that say nothing; where `turned`, its layers are used in another order than they are defined in."""

    def __init__(self, rngs: nnx.Rngs, turned: bool) -> None:
        self.z, self.a = nnx.Linear(4, 4, rngs=rngs), nnx.Linear(4, 4, rngs=rngs)
        self.turned = turned

    def __call__(self, inputs: jax.Array) -> jax.Array:
        first, second = (self.a, self.z) if self.turned else (self.z, self.a)
        return second(jnp.tanh(first(inputs)))


@pytest.mark.parametrize("turned", [False, True])
def test_layers_that_only_their_order_tells_are_told_where_something_differs(turned: bool) -> None:
    verdict = checked(InThisOrder, lambda rngs: InAnother(rngs, turned))
    assert verdict.outcome == ("differ" if turned else "agree")
    assert ("paired by order only: first and z, second and a" in verdict.listed) == turned
