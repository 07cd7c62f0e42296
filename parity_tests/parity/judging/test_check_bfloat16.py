"""A pair that declares bfloat16: right sides agree, what is wrong there only is caught, and a lack of power is told."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from typing import Any

import jax
import jax.numpy as jnp
import optax
import pytest
import torch
from flax import nnx
from torch import nn

from parity import Pair, check
from parity.judging.distance.difference import scales
from parity.judging.passes.own_activations import AGAIN
from parity.recording import FRAMEWORKS, Framework, Key
from parity.sides.running import Running
from parity.verdict import EPS, Verdict
from parity_tests.parity.bfloat16 import (
    BATCHES,
    RATE,
    TorchNet,
    bfloat16_pair,
    jax_loss,
    jax_net,
    there_only,
    torch_loss,
    torch_net,
)

pytestmark = pytest.mark.usefixtures("compiled_once")


@cache
def right(seed: int = 0) -> Verdict:
    return check(bfloat16_pair(), seed=seed)


@pytest.mark.parametrize("seed", range(5))
def test_right_sides_agree_and_each_stage_has_power(seed: int) -> None:
    verdict = right(seed)
    assert verdict.outcome == "agree", verdict.first_difference or [stage.reason for stage in verdict.stages]
    for stage in verdict.stages[2:]:
        power = stage.power["bfloat16"]
        assert power is not None
        assert power >= 2
        assert set(stage.bfloat16) == {"torch", "jax"}
    assert [found.dtype for found in verdict.provenances[-2:]] == ["bfloat16", "bfloat16"]


def test_where_activations_flip_right_sides_agree_at_their_own() -> None:
    """Over 20 steps some ReLU lies within rounding of zero: what that moves is no difference, and is told."""
    steps = replace(BATCHES, steps=20)
    verdict = check(bfloat16_pair(batches=steps))
    assert verdict.outcome == "agree", verdict.first_difference or [stage.reason for stage in verdict.stages]
    (line,) = [line for line in verdict.listed if line.startswith("bfloat16")]
    assert line.endswith(f"comparisons: {AGAIN}")
    again = [found for found in verdict.comparisons if found.note == AGAIN]
    assert 0 < len(again) < 0.2 * sum(found.dtype == "bfloat16" for found in verdict.comparisons)
    assert {found.dtype for found in again} == {"bfloat16"}


def first_of(pair: Pair) -> tuple[Key, str]:
    """Where a difference in bfloat16 shows first, and what is said of it."""
    verdict = check(pair)
    first = verdict.first_difference
    assert first is not None, [stage.reason for stage in verdict.stages]
    assert (verdict.outcome, first.comparison.dtype) == ("differ", "bfloat16")
    return first.comparison.key, str(first)


def summed(model: Any, batch: dict[str, Any]) -> Any:
    """The sum of squares for their mean."""
    found = torch_loss(model, batch)
    return found * 64 if found.dtype is torch.bfloat16 else found


def test_a_sum_for_a_mean() -> None:
    key, _ = first_of(bfloat16_pair(torch={"loss": summed}))
    assert key == ("loss", 0, "loss")


def test_a_relu_left_out() -> None:
    key, said = first_of(bfloat16_pair(jax={"model": jax_net(hidden=there_only(lambda x: x, nnx.relu))}))
    assert key == ("forward", 0, "outer.input")
    assert "jax side" in said


def test_a_bias_dropped() -> None:
    class Unbiased(torch.nn.Linear):
        def forward(self, given: torch.Tensor) -> torch.Tensor:
            bias = None if given.dtype is torch.bfloat16 else self.bias
            return torch.nn.functional.linear(given, self.weight, bias)

    class Net(torch_net()):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.outer = Unbiased(16, 4)

    key, _ = first_of(bfloat16_pair(torch={"model": Net}))
    assert key == ("forward", 0, "outer.output")


def test_twice_the_learning_rate() -> None:
    def optimizer(parameters: list[torch.Tensor]) -> torch.optim.Optimizer:
        return torch.optim.Adam(parameters, lr=RATE * (2 if parameters[0].dtype is torch.bfloat16 else 1))

    key, _ = first_of(bfloat16_pair(torch={"optimizer": optimizer}))
    assert key[:2] == ("update", 0)


def test_a_gradient_that_is_not_handed_on() -> None:
    cut = there_only(lambda x: jax.lax.stop_gradient(nnx.relu(x)), nnx.relu)
    key, _ = first_of(bfloat16_pair(jax={"model": jax_net(hidden=cut)}))
    assert key[0] == "backward"
    assert key.tensor.startswith("inner")


@pytest.mark.parametrize(
    ("dtype", "told"), [(jnp.float32, "more than bfloat16"), (jnp.float16, "float16")], ids=["float32", "float16"]
)
def test_what_is_left_in_another_dtype_is_told(dtype: Any, told: str) -> None:
    wide = there_only(lambda x: nnx.relu(x.astype(dtype) / 3), lambda x: nnx.relu(x / 3))
    third = torch_net(hidden=lambda x: torch.relu(x / 3))
    key, said = first_of(bfloat16_pair(torch={"model": third}, jax={"model": jax_net(hidden=wide)}))
    assert key == ("forward", 0, "outer.input")
    assert f"{told} on the jax side of a bfloat16 run" in said


def test_what_is_computed_in_float32_and_taken_back_is_right() -> None:
    """It cannot be seen: it is nearer to the judge, and all that is handed on is in bfloat16."""
    hidden = there_only(lambda x: nnx.relu(x.astype(jnp.float32)).astype(jnp.bfloat16), nnx.relu)
    assert check(bfloat16_pair(jax={"model": jax_net(hidden=hidden)})).outcome == "agree"


def test_nan() -> None:
    def loss(model: Any, batch: dict[str, Any]) -> Any:
        found = jax_loss(model, batch)
        return found * jnp.nan if found.dtype == jnp.bfloat16 else found

    key, said = first_of(bfloat16_pair(jax={"loss": loss}))
    assert key == ("loss", 0, "loss")
    assert "NaN on the jax side" in said


def test_where_nothing_has_power_it_is_said_and_not_green() -> None:
    """Behind 512 a bfloat16 goes in steps of 4: of what goes in nothing is left, on either side."""
    torch_side, jax_side = (net(given=lambda x: (x + 512) - 512) for net in (torch_net, jax_net))
    verdict = check(bfloat16_pair(torch={"model": torch_side}, jax={"model": jax_side}))
    forward = next(stage for stage in verdict.stages if stage.stage == "forward")
    assert (verdict.outcome, forward.outcome) == ("inconclusive", "inconclusive")
    assert forward.reason.startswith("bfloat16: nothing had power at forward")
    assert any(line.startswith("bfloat16: no power in forward inner.input") for line in verdict.listed)


def test_what_is_frozen_is_not_asked_for_power() -> None:
    class StandingStill(TorchNet):
        def __init__(self) -> None:
            super().__init__()
            nn.init.zeros_(self.inner.bias)
            self.inner.requires_grad_(False)

    made = bfloat16_pair({"model": StandingStill}, {"optimizer": None}, frozen=("inner.*",))
    verdict = check(made, dtypes=("float64", "bfloat16"))
    assert verdict.outcome == "agree", [stage.reason for stage in verdict.stages]
    assert not any("no power in" in line for line in verdict.listed)


def test_a_rate_that_bfloat16_rounds_away_leaves_the_update_without_power() -> None:
    def torch_slow(parameters: list[torch.Tensor]) -> torch.optim.Optimizer:
        return torch.optim.Adam(parameters, lr=1e-4)

    verdict = check(bfloat16_pair({"optimizer": torch_slow}, {"optimizer": lambda: optax.adam(1e-4)}))
    update = next(stage for stage in verdict.stages if stage.stage == "update")
    assert update.outcome == verdict.outcome == "inconclusive"
    assert update.reason.startswith("no power in bfloat16: the wrong answer 'not applied' is only")


def test_who_does_not_ask_is_told_nothing_of_it() -> None:
    verdict = check(bfloat16_pair(dtypes=("float64", "float32")))
    assert verdict.outcome == "agree"
    assert {found.dtype for found in verdict.comparisons} == {"float64", "float32"}
    assert all(not stage.bfloat16 and set(stage.power) == {"float64", "float32"} for stage in verdict.stages)
    assert not any("bfloat16" in line for line in verdict.listed)


def test_what_differs_in_float32_is_not_judged_in_bfloat16() -> None:
    def loss(model: Any, batch: dict[str, Any]) -> Any:
        found = torch_loss(model, batch)
        return found * 2 if found.dtype is torch.float32 else found

    verdict = check(bfloat16_pair(torch={"loss": loss}))
    assert verdict.first_difference is not None
    assert verdict.first_difference.comparison.dtype == "float32"
    assert "not judged: float32 differs" in {stage.reason for stage in verdict.stages}


def test_a_check_takes_the_dtypes_of_the_pair_unless_it_is_told_others() -> None:
    alone = bfloat16_pair(dtypes=("float64",))
    assert check(alone).dtypes == ("float64",)
    assert check(alone).not_asked[-1] == "float32"
    assert check(alone, dtypes=("float64", "bfloat16")).dtypes == ("float64", "bfloat16")


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_noise_is_what_a_unit_of_bfloat16_moves(framework: Framework) -> None:
    running = Running(bfloat16_pair(), framework, 0, "cpu", lambda _: None)
    judge = running.free()
    base, found = running.lockstep(judge, "bfloat16"), scales([judge])
    assert (base.provenance.dtype, base.provenance.x64) == ("bfloat16", False)
    noise = running.lockstep_noise(base, judge, found)
    assert noise.draw()
    output = noise.of(Key("forward", 0, "inner.output"))
    assert EPS["bfloat16"] / 4 < output < 8 * EPS["bfloat16"]
