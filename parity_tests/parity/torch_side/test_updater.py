"""Schedules and clipping on the torch side, beside Optax's, from fresh and from carried-over state."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import torch

from parity import Pair, check
from parity.recording import Key
from parity.sides.live import live_side
from parity_tests.parity.judging.test_check_modules import pair

pytestmark = pytest.mark.usefixtures("compiled_quickly")

BOUND = 0.05
"""Below the norm of the small pair's gradients, so that clipping changes something."""


def clip(parameters: Any) -> None:
    torch.nn.utils.clip_grad_norm_(parameters, BOUND)


def halving(optimizer: torch.optim.Optimizer) -> Any:
    return torch.optim.lr_scheduler.StepLR(optimizer, step_size=1, gamma=0.5)


def decayed(gamma: float, count: jax.Array) -> jax.Array:
    """The rate after so many steps. `optax.exponential_decay` would make it in float32 inside a float64 run."""
    return 0.1 * jnp.power(gamma, jnp.asarray(count, float))


def scheduled(momentum: float = 0.9, gamma: float = 0.5, bound: float = BOUND) -> Pair:
    """The small pair with a schedule and clipping on both sides; JAX's as told."""

    def optimizer() -> optax.GradientTransformation:
        return optax.chain(optax.clip_by_global_norm(bound), optax.sgd(partial(decayed, gamma), momentum=momentum))

    return replace(pair(torch={"scheduler": halving, "clip": clip}, jax={"optimizer": optimizer}), steps=3)


def test_both_schedules_and_both_ways_to_clip_agree() -> None:
    verdict = check(scheduled())
    # clip_grad_norm_ adds 1e-6 to the norm that it divides by: what torch does differently is a difference.
    first = verdict.first_difference
    assert first is not None
    assert first.comparison.key == Key("update", 0, "inner.weight")
    assert 1e-9 < first.comparison.difference < 1e-5


def exact_clip(parameters: Any) -> None:
    norm = torch.nn.utils.get_total_norm([parameter.grad for parameter in parameters])
    for parameter in parameters:
        parameter.grad *= torch.clamp(BOUND / norm, max=1.0)


@pytest.mark.parametrize(
    ("wrong", "step"), [({}, None), ({"gamma": 0.505}, 1), ({"bound": 0.0505}, 0)], ids=["right", "decay", "bound"]
)
def test_a_wrong_schedule_is_found_at_the_step_where_it_shows(wrong: dict[str, float], step: int | None) -> None:
    made = scheduled(**wrong)
    first = check(replace(made, torch=replace(made.torch, clip=exact_clip))).first_difference
    assert (first and (first.comparison.key.stage, first.comparison.key.step)) == (
        step if step is None else ("update", step)
    )


def test_a_run_goes_on_from_a_state_as_if_it_had_never_stopped() -> None:
    side = live_side(scheduled().torch, "torch", "float64", "cpu")
    initial, batches = side.initial(0), side.batches(0, 3)
    steps = list(side.run(initial, batches))
    again = side.update(steps[1].state, steps[2].gradients.parameters)
    assert again.optimizer["step"] == 3
    for name, array in steps[2].state.parameters.items():
        if name not in steps[2].gradients.buffers:
            assert np.array_equal(array, again.parameters[name]), name


def test_nadam_keeps_its_product_in_float32_whatever_the_default_dtype_is() -> None:
    """A run of a module in float64 makes that torch's default, in which NAdam would begin its product."""
    side = live_side(pair(torch={"optimizer": torch.optim.NAdam}).torch, "torch", "float64", "cpu")
    state = None
    for step in side.run(side.initial(0), side.batches(0, 2)):
        products = [array for name, array in step.state.optimizer.items() if name.startswith("mu_product.")]
        assert products
        assert all(array.dtype == np.float64 and np.all(array == np.float32(array)) for array in products)
        if state is not None:
            again = side.update(state, step.gradients.parameters)
            assert all(np.array_equal(array, again.optimizer[name]) for name, array in step.state.optimizer.items())
        state = step.state
