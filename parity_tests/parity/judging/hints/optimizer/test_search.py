"""The one option that is otherwise in the JAX side's optimizer is told with both values; two of them are not."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from parity.judging.hints.constants import RATE_IN_FLOAT32
from parity.judging.hints.optimizer.search import of_optimizer
from parity.pair.optimizers import Clip, Optimizer, Schedule
from parity.recording import Recording
from parity_tests.parity.optimizers.cases import CASES, Case, clip_norm
from parity_tests.parity.optimizers.changes import CHANGES, SMALL, Change, altered, named
from parity_tests.parity.optimizers.recorded import Changed, ran

pytestmark = pytest.mark.usefixtures("compiled_quickly")
NAMED = {case.name: case for case in CASES}
QUICK = ("SGD, dampening: momentum", "AdamW: eps", "StepLR: schedule.gamma")
RATE = 0.01


def told(case: str, change: Changed, count: int = 12, rate: float = RATE) -> str:
    return str(of_optimizer(ran(NAMED[case], rate, change, count), count) or "")


def rows() -> Iterator[Any]:
    for change in CHANGES:
        name = f"{change.case}: {change.option}"
        yield pytest.param(change, id=name, marks=() if name in QUICK else pytest.mark.slow)


@pytest.mark.parametrize("change", list(rows()))
def test_the_smallest_change_of_every_option_is_named_with_both_values(change: Change) -> None:
    small, case = SMALL.get(change, change), NAMED[change.case]
    rate = 1.0 if "step_sizes" in change.option else RATE
    said = told(change.case, lambda read: altered(read, small), 45 if case.scheduler else 12, rate)
    assert named(small) in said


def options(read: Optimizer, **values: Any) -> Optimizer:
    groups = tuple(group._replace(options={**group.options, **values}) for group in read.groups)
    return replace(read, groups=groups, state={})


def test_the_share_that_is_left_is_the_evidence() -> None:
    said = "AdamW: weight_decay 0.0001 on the jax side, 0.01 on the torch side (explains it exactly)"
    assert told("AdamW", lambda read: options(read, weight_decay=1e-4)) == said


def test_a_rate_is_also_told_as_a_factor() -> None:
    said = "Adam: lr 0.0101 on the jax side, 1.01 times as large as 0.01 on the torch side"
    assert said in told("Adam", lambda read: options(read, lr=0.0101))
    assert "Adam: lr -0.02 on the jax side, 0.01 on the torch" in told("Adam", lambda read: options(read, lr=-0.02))


def test_an_option_of_one_group_is_told_with_its_group() -> None:
    def second(read: Optimizer) -> Optimizer:
        return replace(read, groups=(read.groups[0], options(read, weight_decay=0.03).groups[1]))

    said = "AdamW, group 1: weight_decay 0.03 on the jax side, 0 on the torch side"
    assert said in told("AdamW, two groups", second)


@pytest.mark.parametrize(
    ("case", "changed", "said"),
    [
        ("StepLR", {"schedule": None}, "StepLR: none on the jax side, there on the torch side"),
        ("SGD", {"schedule": Schedule("StepLR", {"step_size": 3, "gamma": 0.5})},
         "SGD: lr 0.005 in step 3 on the jax side, 0.01 on the torch side: another schedule"),
        ("SGD", {"schedule": Schedule("StepLR", {"step_size": 3, "gamma": 1 + 1e-7})},
         f"SGD: step 3 on the jax side is {RATE_IN_FLOAT32}"),
        ("SGD", {"schedule": Schedule("StepLR", {"step_size": 3, "gamma": 1 + 2e-6})},
         "SGD: lr 0.01 in step 3 on the jax side, 0.01 on the torch side: another schedule"),
        ("clipped by norm", {"clip": None}, "clip_grad_norm_: none on the jax side, at 0.05 on the torch side"),
        ("SGD", {"clip": Clip("norm", 0.5)}, "clip_grad_norm_: 0.5 on the jax side, none on the torch side"),
        ("SGD", {"clip": Clip("value", 0.5)}, "clip_grad_value_: 0.5 on the jax side, none on the torch side"),
        ("Adam", {"kind": "NAdam"}, "optimizer: NAdam on the jax side, Adam on the torch side"),
    ],
)  # fmt: skip
def test_what_is_left_out_or_put_in_is_told(case: str, changed: dict[str, Any], said: str) -> None:
    def change(read: Optimizer) -> Optimizer:
        read = options(read, momentum_decay=4e-3) if "kind" in changed else read
        return replace(read, **changed)

    assert said in told(case, change)


def test_that_nothing_is_clipped_is_told_before_a_bound_that_clips_nothing() -> None:
    # Of the norms of these gradients only the largest, 24.8, is above the bound, and none above twice that.
    found = ran(Case("clipped a little", "SGD", clip=clip_norm(16.0)), RATE, lambda read: replace(read, clip=None), 6)
    assert str(of_optimizer(found, 6)).startswith("clip_grad_norm_: none on the jax side, at 16 on the torch side or ")


def test_what_no_step_tells_apart_is_told_together() -> None:
    said = told("RMSprop", lambda read: options(read, maximize=True))
    assert "maximize True on the jax side, False on the torch side or RMSprop: lr -0.01 on the jax side" in said


def test_two_changes_at_once_are_not_told_as_one() -> None:
    assert told("Adam", lambda read: options(read, eps=1e-6, lr=0.02)) == ""
    assert told("SGD, momentum", lambda read: options(read, momentum=0.8, weight_decay=0.1)) == ""


def test_nothing_is_told_of_what_does_not_differ() -> None:
    assert told("Adam", lambda read: read) == ""


def test_noise_is_not_told() -> None:
    found = ran(NAMED["Adam"], RATE, lambda read: read)
    groups = {}
    for (stage, step), group in found.jax.groups.items():
        noise = np.random.default_rng(step)
        moved = {name: array + 1e-6 * noise.normal(size=array.shape) for name, array in group.items() if name != "step"}
        groups[stage, step] = group | moved if stage == "trajectory" else group
    noisy = Recording(found.jax.provenance, groups)
    assert of_optimizer(replace(found, jax=noisy, begins=noisy), 12) is None


def test_an_explanation_that_a_later_step_contradicts_is_none() -> None:
    found = ran(NAMED["SGD"], RATE, lambda read: options(read, lr=0.02))
    later = ran(NAMED["SGD"], RATE, lambda read: options(read, lr=0.03))
    mixed = {place: (later if place[1] > 5 else found).jax.groups[place] for place in found.jax.groups}
    wrong = Recording(found.jax.provenance, mixed)
    assert "SGD: lr 0.02 on the jax side" in str(of_optimizer(found, 12))
    assert "SGD: lr 0.02 in step 0 on the jax side" in str(of_optimizer(replace(found, jax=wrong), 12))
