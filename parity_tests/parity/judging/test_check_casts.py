"""What computes in float32 in a float64 run and is not declared to: red, and named with its place and sides."""

from __future__ import annotations

from functools import cache, partial
from typing import Any

import jax
import jax.numpy as jnp
import pytest
import torch
from flax import nnx
from torch import Tensor, nn

from parity import check
from parity.recording import Key
from parity.verdict import Verdict
from parity_tests.parity import casting
from parity_tests.parity.casting import HIDDEN, JAX, NORM, TORCH, Net, NetTwin, first, pair

pytestmark = pytest.mark.usefixtures("compiled_once")


@cache
def undeclared(torch_dtype: str, jax_dtype: str) -> Verdict:
    return check(pair(TORCH[torch_dtype], JAX[jax_dtype]))


SIDES = {("float32", "float64"): "on the torch side", ("float64", "float32"): "on the jax side"}


@pytest.mark.parametrize(("dtypes", "sides"), [*SIDES.items(), (("float32", "float32"), "on both sides")])
def test_a_layer_that_casts_is_red_and_named_with_its_sides(dtypes: tuple[str, str], sides: str) -> None:
    verdict = undeclared(*dtypes)
    assert (verdict.outcome, first(verdict).key, first(verdict).dtype) == ("differ", NORM, "float64")
    assert f"in layer norm something is computed in float32 {sides}" in str(verdict.first_difference)
    assert [start.where for start in verdict.starts] == [f"in layer norm in float32 {sides}"]
    assert verdict.listed[0] == f"computed in float32 {sides}: in layer norm"


def test_nothing_is_told_of_a_pair_that_computes_in_float64() -> None:
    verdict = undeclared("float64", "float64")
    assert (verdict.outcome, verdict.listed) == ("agree", [])


class WithTable(Net):
    """A table of angles, in float32 or in the dtype of the run."""

    def __init__(self, dtype: torch.dtype | None) -> None:
        super().__init__(None)
        self.angles = dtype

    def forward(self, x: Tensor) -> Tensor:
        x = self.inner(x)
        table = torch.arange(HIDDEN, dtype=self.angles or x.dtype).cos().to(x.dtype)
        found: Tensor = self.outer(nn.functional.gelu(self.norm(x * table)))
        return found


class WithTableTwin(NetTwin):
    def __init__(self, rngs: nnx.Rngs, angles: Any) -> None:
        super().__init__(rngs, None)
        self.angles = angles

    def __call__(self, x: jax.Array) -> jax.Array:
        x = self.inner(x)
        table = jnp.cos(jnp.arange(HIDDEN, dtype=self.angles or x.dtype)).astype(x.dtype)
        return self.outer(nnx.gelu(self.norm(x * table), approximate=False))


@pytest.mark.parametrize(("dtypes", "sides"), SIDES.items())
def test_a_table_in_float32_is_named_with_its_place_and_side(dtypes: tuple[str, str], sides: str) -> None:
    in_torch = partial(WithTable, torch.float32 if dtypes[0] == "float32" else None)
    in_jax = partial(WithTableTwin, angles=jnp.float32 if dtypes[1] == "float32" else None)
    verdict = check(pair({"model": in_torch}, {"model": in_jax}), dtypes=("float64",))
    assert first(verdict).key == Key("forward", 0, "norm.input")
    assert verdict.first_difference is not None
    said = f"between inner.output and norm.input there are numbers in float32 {sides}"
    assert verdict.first_difference.looks_like == said


def test_a_loss_in_float32_is_named_with_its_side() -> None:
    def cast(model: nn.Module, batch: dict[str, Tensor]) -> Tensor:
        return nn.functional.cross_entropy(model(batch["inputs"]).float(), batch["labels"]).double()

    verdict = check(pair(TORCH["float64"] | {"loss": cast}, JAX["float64"]), dtypes=("float64",))
    assert first(verdict).key == Key("loss", 0, "loss")
    assert verdict.first_difference is not None
    assert verdict.first_difference.looks_like.endswith(
        "between output and loss there are numbers in float32 on the torch side"
    )


def test_a_table_that_is_made_long_before_is_told_beside_what_the_difference_looks_like() -> None:
    class Early(WithTable):
        def forward(self, x: Tensor) -> Tensor:
            table = torch.arange(HIDDEN, dtype=torch.float32).cos().to(x.dtype)
            found: Tensor = self.outer(nn.functional.gelu(self.norm(self.inner(x) * table)))
            return found

    made = pair({"model": partial(Early, None)}, {"model": partial(WithTableTwin, angles=None)})
    verdict = check(made, dtypes=("float64",))
    assert verdict.first_difference is not None
    said = "before that, between the batch and inner.input there are numbers in float32 on the torch side"
    assert verdict.first_difference.looks_like.endswith(said)


class Gain(nn.Module):
    """A single product in float32, which comes to the same bits everywhere."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(HIDDEN))

    def forward(self, x: Tensor) -> Tensor:
        return (x.float() * self.weight.float()).to(x.dtype)


class GainTwin(nnx.Module):
    def __init__(self) -> None:
        self.scale = nnx.Param(jnp.ones(HIDDEN))

    def __call__(self, x: jax.Array) -> jax.Array:
        return (x.astype(jnp.float32) * self.scale[...].astype(jnp.float32)).astype(x.dtype)


class Table(Gain):
    """What it gives is looked up, in numbers that float32 holds, and computed from nothing."""

    def forward(self, x: Tensor) -> Tensor:
        return self.weight.expand(x.shape) + 0 * x


class TableTwin(GainTwin):
    def __call__(self, x: jax.Array) -> jax.Array:
        return jnp.broadcast_to(self.scale[...], x.shape) + 0 * x


def with_layer(torch_layer: type[nn.Module], jax_layer: Any, **others: Any) -> Any:
    """The pair with other layers in the place of the norm."""

    def in_torch() -> nn.Module:
        model = Net()
        model.norm = torch_layer()  # type: ignore[assignment]
        return model

    def in_jax(rngs: nnx.Rngs) -> nnx.Module:
        model = NetTwin(rngs)
        model.norm = jax_layer()
        return model

    return pair({"model": in_torch}, {"model": in_jax}, **others)


def test_sides_that_cast_alike_to_the_same_bits_are_red_too() -> None:
    verdict = check(with_layer(Gain, GainTwin), dtypes=("float64",))
    assert (verdict.outcome, first(verdict).key, first(verdict).difference) == ("differ", NORM, 0.0)
    assert first(verdict).note == "computed in float32 on both sides, which the pair does not declare"


def test_sides_that_come_to_the_same_bits_only_forward_are_named_there() -> None:
    verdict = check(pair(), seed=15, dtypes=("float64",))
    assert (first(verdict).key, first(verdict).difference) == (NORM, 0.0)
    assert first(verdict).note == "computed in float32 on both sides, which the pair does not declare"


class Masked(Net):
    """A mask and a count in float32, both of which it holds exactly."""

    def forward(self, x: Tensor) -> Tensor:
        normed = self.norm(self.inner(x)) * (torch.arange(HIDDEN) % 3 > 0).float()
        found: Tensor = self.outer(nn.functional.gelu(normed) / torch.ones(4, dtype=torch.float32).sum())
        return found


class MaskedTwin(NetTwin):
    def __call__(self, x: jax.Array) -> jax.Array:
        normed = self.norm(self.inner(x)) * (jnp.arange(HIDDEN) % 3 > 0).astype(jnp.float32)
        return self.outer(nnx.gelu(normed, approximate=False) / jnp.sum(jnp.ones(4, jnp.float32)))


def test_masks_and_counts_in_float32_are_no_casts() -> None:
    made = pair({"model": partial(Masked, None)}, {"model": partial(MaskedTwin, dtype=None)})
    verdict = check(made, dtypes=("float64",))
    assert (verdict.outcome, verdict.listed) == ("agree", [])


def test_what_is_looked_up_is_not_taken_for_a_cast() -> None:
    def of_float32(seed: int) -> Any:
        return {name: array.astype("float32").astype("float64") for name, array in casting.drawn(seed).items()}

    stages = ("forward", "score")
    sides = {"predict": lambda model, batch: model(batch["inputs"])}
    made = with_layer(Table, TableTwin, parameters=of_float32)
    assert (
        check(
            pair(
                sides | {"model": made.torch.model},
                sides | {"model": made.jax.model},
                parameters=of_float32,
                stages=stages,
            )
        ).outcome
        == "agree"
    )
