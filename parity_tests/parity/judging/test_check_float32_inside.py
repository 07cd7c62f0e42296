"""Layers that a pair declares to compute in float32: they and what follows are judged by the float32 rule."""

from __future__ import annotations

from functools import cache, partial
from pathlib import Path
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
from parity.golden.check import check_against, write_golden
from parity.judging.distance.factors import CAP, FLOAT64_CEILING, FLOAT64_FLOOR
from parity.recording import FRAMEWORKS, Arrays, Key
from parity.sides.live import live_side
from parity.verdict import Verdict
from parity_tests.parity import casting
from parity_tests.parity.casting import HIDDEN, JAX, NORM, TORCH, WIDE, Net, NetTwin, NormTwin, first, pair

pytestmark = pytest.mark.usefixtures("compiled_once")


@cache
def declared() -> Verdict:
    return check(pair(float32_inside=("norm",)))


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


def rectified_twin(model: Any, batch: dict[str, jax.Array], gain: float) -> jax.Array:
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


def test_a_frozen_layer_does_not_take_the_power_from_the_updates_of_the_others() -> None:
    def without_gradients() -> nn.Module:
        model = Net()
        model.inner.requires_grad_(False)
        return model

    made = pair({"model": without_gradients}, {"optimizer": None}, float32_inside=("norm",), frozen=("inner.*",))
    verdict = check(made, dtypes=("float64",))
    assert verdict.outcome == "agree", verdict.first_difference or [s.reason for s in verdict.stages]


class Inline(nnx.Module):
    """The norm written out where no module shows it, as in a scan."""

    def __init__(self, rngs: nnx.Rngs, epsilon: float = casting.EPSILON) -> None:
        twin = NetTwin(rngs)
        self.inner, self.outer, self.scale, self.epsilon = twin.inner, twin.outer, nnx.Param(jnp.ones(HIDDEN)), epsilon

    def __call__(self, x: jax.Array) -> jax.Array:
        hidden = self.inner(x)
        wide = hidden.astype(jnp.float32)
        normed = wide * jax.lax.rsqrt(jnp.mean(wide**2, axis=-1, keepdims=True) + self.epsilon)
        return self.outer(nnx.gelu(self.scale[...] * normed.astype(x.dtype), approximate=False))


@pytest.mark.parametrize(("epsilon", "outcome"), [(casting.EPSILON, "agree"), (1.01 * casting.EPSILON, "differ")])
def test_a_declared_layer_that_one_side_does_not_show_is_declared_all_the_same(epsilon: float, outcome: str) -> None:
    made = pair(
        jax_side={"model": partial(Inline, epsilon=epsilon)}, float32_inside=("norm",),
        weight_map={"norm.weight": "scale"},
    )  # fmt: skip
    verdict = check(made, dtypes=("float64",))
    assert verdict.outcome == outcome, verdict.first_difference or [s.reason for s in verdict.stages]
    if outcome == "differ":
        assert first(verdict).key == Key("forward", 0, "outer.input")


def test_what_a_recorded_side_does_not_show_is_declared_by_the_name_that_torch_has_for_it(tmp_path: Path) -> None:
    made = pair(
        jax_side={"model": Inline}, float32_inside=("norm",), weight_map={"norm.weight": "scale"}, steps=1,
    )  # fmt: skip
    write_golden(made, "jax", tmp_path / "jax.parity")
    assert check_against(made, tmp_path / "jax.parity").outcome == "agree"


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
