"""Layers that compute in float32 in a float64 run: red and named, or judged by the float32 rule where declared."""

from __future__ import annotations

from functools import cache, partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import torch
from flax import nnx
from torch import Tensor, nn

from parity import check
from parity.errors import NotCheckable
from parity.judging.factors import CAP, FEW_EPS, FLOAT32_FACTOR, FLOAT64_CEILING, FLOAT64_FLOOR
from parity.live import live_side
from parity.recording import FRAMEWORKS, Arrays, Key
from parity.verdict import EPS, Comparison, Verdict
from parity_tests.parity import casting
from parity_tests.parity.casting import HIDDEN, Net, NetTwin, NormTwin, pair

pytestmark = pytest.mark.usefixtures("compiled_once")

WIDE = FLOAT32_FACTOR * FEW_EPS * EPS["float32"]
TORCH = {"float64": {"model": partial(Net, None)}, "float32": {}}
JAX = {"float64": {"model": partial(NetTwin, dtype=None)}, "float32": {}}
NORM = Key("forward", 0, "norm.output")


@cache
def undeclared(torch_dtype: str, jax_dtype: str) -> Verdict:
    return check(pair(TORCH[torch_dtype], JAX[jax_dtype]))


@cache
def declared() -> Verdict:
    return check(pair(float32_inside=("norm",)))


def first(verdict: Verdict) -> Comparison:
    assert verdict.first_difference is not None, [stage.reason for stage in verdict.stages]
    return verdict.first_difference.comparison


# Without a word


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


# With a word


def test_the_declared_pair_is_green_and_says_what_was_judged_so() -> None:
    assert declared().outcome == "agree", declared().first_difference or [s.reason for s in declared().stages]
    assert declared().listed == [
        "float64: judged by float32's rule, since the pair declares it: norm, and what follows"
    ]


def limits(verdict: Verdict, stage: str, ending: str = "") -> list[float]:
    found = [c for c in verdict.comparisons if c.dtype == "float64" and c.key.stage == stage and c.loop is None]
    return [c.limit for c in found if c.key.tensor.endswith(ending)]


def test_what_no_declared_layer_reaches_keeps_its_limit() -> None:
    for tensor in ("inner.input", "inner.output", "norm.input"):
        assert set(limits(declared(), "forward", tensor)) == {FLOAT64_FLOOR}
    parameters = [c for c in declared().comparisons if c.dtype == "float64" and c.key.stage == "update"]
    assert max(c.limit for c in parameters) <= FLOAT64_CEILING
    assert set(limits(declared(), "init")) == {0.0}


def test_what_follows_is_judged_by_the_rule_of_float32() -> None:
    for tensor in ("norm.output", "outer.input", "outer.output"):
        assert all(FLOAT64_CEILING < limit <= WIDE for limit in limits(declared(), "forward", tensor))
    for stage in ("loss", "backward", "score"):
        assert all(FLOAT64_CEILING < limit <= WIDE for limit in limits(declared(), stage))


def test_the_power_that_remains_is_that_of_the_wider_limits() -> None:
    power = {stage.stage: stage.power["float64"] for stage in declared().stages}
    assert power["forward"] == pytest.approx(1 / CAP, rel=20)
    assert power["update"] is not None
    assert power["update"] > 1e6


class OtherAxis(NormTwin):
    def __call__(self, x: jax.Array) -> jax.Array:
        wide = x.astype(jnp.float32)
        normed = wide * jax.lax.rsqrt(jnp.mean(wide**2, axis=0, keepdims=True) + self.epsilon)
        return self.scale[...] * normed.astype(x.dtype)


class NoScale(NormTwin):
    def __call__(self, x: jax.Array) -> jax.Array:
        return super().__call__(x) / self.scale[...]


class Tanh(NetTwin):
    def __call__(self, x: jax.Array) -> jax.Array:
        return self.outer(nnx.gelu(self.norm(self.inner(x))))


class Nearly(NetTwin):
    """What goes into the norm is wrong by less than float32 tells."""

    def __call__(self, x: jax.Array) -> jax.Array:
        return self.outer(nnx.gelu(self.norm(self.inner(x) * (1 + 1e-9)), approximate=False))


def norm_of(kind: Any, epsilon: float = casting.EPSILON) -> Any:
    def model(rngs: nnx.Rngs) -> NetTwin:
        found = NetTwin(rngs)
        found.norm = kind(jnp.float32)
        found.norm.epsilon = epsilon
        return found

    return model


def halved(model: Any, batch: dict[str, jax.Array]) -> jax.Array:
    return casting.loss_of_twin(model, batch) * 0.5


PLANTED: dict[str, tuple[dict[str, Any], Key, float]] = {
    "epsilon": ({"model": norm_of(NormTwin, 1e-6)}, NORM, WIDE),
    "axis": ({"model": norm_of(OtherAxis)}, NORM, WIDE),
    "no scale": ({"model": norm_of(NoScale)}, NORM, WIDE),
    "tanh GELU behind it": ({"model": Tanh}, Key("forward", 0, "outer.input"), WIDE),
    "half of the loss": ({"loss": halved}, Key("loss", 0, "loss"), WIDE),
    "a billionth before it": ({"model": Nearly}, Key("forward", 0, "norm.input"), FLOAT64_CEILING),
    "epsilon of Adam": (
        {"optimizer": partial(optax.adam, 1e-3, eps=1e-7)},
        Key("update", 0, "inner.weight"),
        FLOAT64_CEILING,
    ),
}


@pytest.mark.parametrize("mistake", PLANTED)
def test_a_mistake_before_inside_and_behind_a_declared_layer_is_caught(mistake: str) -> None:
    parts, key, limit = PLANTED[mistake]
    verdict = check(pair(None, parts, float32_inside=("norm",)), dtypes=("float64",))
    assert first(verdict).key == key
    assert first(verdict).limit <= limit
    assert "float32" not in verdict.first_difference.looks_like  # type: ignore[union-attr]


# What follows, by itself


class Slightly(NetTwin):
    """The layer behind the norm is wrong by less than float32's rule tells."""

    def __init__(self, rngs: nnx.Rngs) -> None:
        super().__init__(rngs)
        self.outer = Off(HIDDEN, casting.CLASSES, rngs=rngs)


class Off(nnx.Linear):
    def __call__(self, inputs: jax.Array, out_sharding: Any = None) -> jax.Array:
        return super().__call__(inputs, out_sharding) * (1 + 1e-7)


class Between(Net):
    """GELU in float32, behind the norm."""

    def forward(self, x: Tensor) -> Tensor:
        normed = self.norm(self.inner(x))
        found: Tensor = self.outer(nn.functional.gelu(normed.float()).to(x.dtype))
        return found


class BetweenTwin(NetTwin):
    def __call__(self, x: jax.Array) -> jax.Array:
        normed = self.norm(self.inner(x))
        return self.outer(nnx.gelu(normed.astype(jnp.float32), approximate=False).astype(x.dtype))


def test_a_layer_that_follows_is_in_float64_and_held_to_it_where_it_is_handed_what_the_judge_has() -> None:
    verdict = check(pair(None, {"model": Slightly}, float32_inside=("norm",)), dtypes=("float64",))
    assert (first(verdict).key, first(verdict).limit) == (Key("forward", 0, "outer.output"), FLOAT64_CEILING)
    assert first(verdict).note == "difference 1e-07, limit 1e-09, where it is handed what the judge has"
    assert [start.where for start in verdict.starts] == ["in layer outer"]


def test_what_follows_and_casts_too_has_to_be_declared_as_well() -> None:
    sides = {"model": Between}, {"model": BetweenTwin}
    verdict = check(pair(*sides, float32_inside=("norm",)), dtypes=("float64",))
    assert first(verdict).key == Key("forward", 0, "outer.input")
    assert first(verdict).note == "computed in float32 on both sides, which the pair does not declare"
    assert check(pair(*sides, float32_inside=("norm", "outer.input"))).outcome == "agree"


def test_a_table_in_float32_that_follows_is_named_too() -> None:
    class Table(Net):
        def forward(self, x: Tensor) -> Tensor:
            normed = self.norm(self.inner(x))
            table = torch.arange(HIDDEN, dtype=torch.float32).cos().to(x.dtype)
            found: Tensor = self.outer(nn.functional.gelu(normed) * table)
            return found

    class TableTwin(NetTwin):
        def __call__(self, x: jax.Array) -> jax.Array:
            normed = self.norm(self.inner(x))
            return self.outer(nnx.gelu(normed, approximate=False) * jnp.cos(jnp.arange(HIDDEN, dtype=x.dtype)))

    verdict = check(pair({"model": Table}, {"model": TableTwin}, float32_inside=("norm",)), dtypes=("float64",))
    assert first(verdict).key == Key("forward", 0, "outer.input")
    assert verdict.first_difference is not None
    said = "between norm.output and outer.input there are numbers in float32 on the torch side"
    assert verdict.first_difference.looks_like == said


def rectified(model: nn.Module, batch: dict[str, Tensor]) -> Tensor:
    return nn.functional.cross_entropy(torch.relu(model(batch["inputs"])), batch["labels"])


def rectified_twin(model: Any, batch: dict[str, jax.Array], gain: float = 1.0) -> jax.Array:
    return gain * casting.loss_of_twin(lambda inputs: nnx.relu(model(inputs)), batch)


def at_the_edge() -> Arrays:
    """Parameters at which an activation of the first batch is as far above zero on one side as below on the other."""
    made, parameters = pair(), casting.drawn(0)
    sides = [live_side(made.side(framework), framework, "float64", "cpu") for framework in FRAMEWORKS]
    torch_found, jax_found = (s.observe(parameters, s.batches(0, 1)[0]).forward["outer.output"] for s in sides)
    example, entry = np.unravel_index(np.argmax(np.abs(torch_found - jax_found)), torch_found.shape)
    parameters["outer.bias"][entry] -= (torch_found + jax_found)[example, entry] / 2
    return parameters


@pytest.mark.parametrize(("gain", "outcome"), [(1.0, "agree"), (1.001, "differ")])
def test_an_activation_that_flips_behind_such_a_layer_is_judged_again_and_a_mistake_differs_still(
    gain: float, outcome: str
) -> None:
    initial = at_the_edge()
    theirs = {"loss": partial(rectified_twin, gain=gain)}
    made = pair({"loss": rectified}, theirs, parameters=lambda seed: initial, float32_inside=("norm",))
    verdict = check(made, dtypes=("float64",))
    assert verdict.outcome == outcome, verdict.first_difference
    again = [c for c in verdict.comparisons if "flipped at zero: judged again" in c.note]
    assert {c.key.step for c in again} == ({0} if outcome == "agree" else set())


def test_a_declaration_that_is_not_needed_is_told() -> None:
    made = pair(TORCH["float64"], JAX["float64"], float32_inside=("norm", "out*"))
    verdict = check(made, dtypes=("float64",))
    assert verdict.outcome == "agree"
    said = "float32_inside: nothing in {} was seen to compute in float32 on either side: it need not be declared"
    assert verdict.listed[1:] == [said.format("norm"), said.format("outer")]


def test_a_pattern_that_names_no_layer_is_an_error() -> None:
    words = r"float32_inside: no layer is called '\*\.norm': the layers are inner, norm, outer"
    with pytest.raises(NotCheckable, match=words):
        check(pair(float32_inside=("norm", "*.norm")))
