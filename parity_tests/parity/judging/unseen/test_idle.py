"""A clip that never bites and a scheduler that never moves the rates are told, and others are not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import optax
import pytest
import torch

from parity import check
from parity.golden.check import check_against, write_golden
from parity.judging.unseen.idle import idle_in_words
from parity_tests.parity.optimizers.cases import clip_norm
from parity_tests.parity.test_check_modules import pair

pytestmark = pytest.mark.usefixtures("compiled_once")
CLIP = "torch's clip changed no gradient in 3 steps: whether the jax side clips alike was not seen"
SCHEDULER = (
    "torch's scheduler left the rates as they are in 3 steps: whether the jax side changes them alike was not seen"
)

TURN = "torch's scheduler goes over to another rule only after 3 steps: whether the jax side does so was not seen"


def warmed_up(steps: int, optimizer: torch.optim.Optimizer) -> Any:
    linear = torch.optim.lr_scheduler.LinearLR(optimizer, 0.5, total_iters=steps)
    decaying = torch.optim.lr_scheduler.ExponentialLR(optimizer, 0.9)
    return torch.optim.lr_scheduler.SequentialLR(optimizer, [linear, decaying], [steps])


def warmed_up_for_ever(steps: int) -> optax.GradientTransformation:
    """A port that forgets what comes behind the warm-up."""
    return optax.sgd(lambda count: 0.1 * (0.5 + 0.5 * jnp.asarray(count, float) / steps), momentum=0.9)


def dropped(at: int, optimizer: torch.optim.Optimizer) -> Any:
    return torch.optim.lr_scheduler.MultiStepLR(optimizer, [at], 0.5)


def stays() -> optax.GradientTransformation:
    return optax.sgd(lambda count: 0.1 + 0.0 * jnp.asarray(count, float), momentum=0.9)


def told(torch_side: dict[str, Any], jax_side: dict[str, Any]) -> tuple[str, list[str]]:
    verdict = check(pair(torch=torch_side, jax=jax_side, steps=3), dtypes=("float64",))
    found = [line for line in verdict.listed if line.endswith("was not seen")]
    # A report shows only the first lines.
    assert verdict.listed[: len(found)] == found
    assert len(verdict.listed) > len(found)
    return verdict.outcome, found


def test_what_changes_nothing_is_told_where_the_jax_side_has_an_optimizer_of_its_own() -> None:
    parts = {"clip": clip_norm(1e3), "scheduler": lambda optimizer: dropped(3, optimizer)}
    assert told(parts, {"optimizer": stays}) == ("agree", [CLIP, SCHEDULER])


def test_what_changes_something_is_compared_and_not_told() -> None:
    # The bound is below the norms; the last of the three steps is the first at another rate.
    parts = {"clip": clip_norm(0.05), "scheduler": lambda optimizer: dropped(2, optimizer)}
    assert told(parts, {"optimizer": stays}) == ("differ", [])


@pytest.mark.parametrize(("steps", "found"), [(1, ("differ", [])), (2, ("agree", [TURN])), (3, ("agree", [TURN]))])
def test_a_rule_that_no_step_was_taken_by_is_told(steps: int, found: tuple[str, list[str]]) -> None:
    parts = {"scheduler": lambda optimizer: warmed_up(steps, optimizer)}
    assert told(parts, {"optimizer": lambda: warmed_up_for_ever(steps)}) == found


def test_what_the_jax_side_takes_from_torch_is_not_told() -> None:
    parts = {"clip": clip_norm(1e3), "scheduler": lambda optimizer: dropped(3, optimizer)}
    assert told(parts, {"optimizer": None}) == ("agree", [])


def by_hand(trained: Any, gradients: Any) -> Any:
    return jax.tree.map(lambda parameter, gradient: parameter - 0.1 * gradient, trained, gradients)


def test_beside_an_update_by_hand_it_is_told_too() -> None:
    parts = {"clip": clip_norm(1e3), "optimizer": lambda parameters: torch.optim.SGD(parameters, lr=0.1)}
    assert told(parts, {"optimizer": None, "update": by_hand}) == ("agree", [CLIP])


def test_a_recording_of_torchs_side_tells_it_too(tmp_path: Path) -> None:
    file = tmp_path / "small.parity"
    made = pair(torch={"clip": clip_norm(1e3)}, steps=3)
    write_golden(made, "torch", file, loops=())
    verdict = check_against(made, file, loops=())
    assert (verdict.outcome, CLIP in verdict.listed) == ("agree", True)


def test_a_line_for_each_of_them() -> None:
    assert idle_in_words((), 3) == []
    assert idle_in_words(("scheduler", "clip"), 3) == [CLIP, SCHEDULER]
    assert idle_in_words(("turn", "clip"), 3) == [CLIP, TURN]
    assert idle_in_words(("turn", "scheduler"), 3) == [SCHEDULER]
    assert "in 1 step:" in idle_in_words(("clip",), 1)[0]
