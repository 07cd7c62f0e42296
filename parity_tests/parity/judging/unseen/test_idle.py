"""What never bites is told, a clip, a scheduler, a clamp or a mask, and what does is compared."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import torch

from parity import check
from parity.golden.check import check_against, write_golden
from parity.judging.unseen.idle import idle_in_words
from parity_tests.parity import small_torch
from parity_tests.parity.judging.test_check_modules import pair
from parity_tests.parity.optimizers.cases import clip_norm

pytestmark = pytest.mark.usefixtures("compiled_quickly")
CLIP = "whether the jax side clips as torch's does: that changed no gradient in 3 steps"
SCHEDULER = "whether the jax side's rates change as torch's scheduler has them: that left them alone in 3 steps"
TURN = "whether the jax side goes over to another rule as torch's scheduler does: that is only after 3 steps"


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
    return verdict.outcome, verdict.unseen


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


def test_of_a_function_of_python_a_rule_that_no_step_was_taken_by_is_told() -> None:
    def schedule(optimizer: torch.optim.Optimizer) -> Any:
        return torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: (step + 1) / 4 if step < 4 else 1.0)

    def warming_up_for_ever() -> optax.GradientTransformation:
        return optax.sgd(lambda count: 0.1 * (jnp.asarray(count, float) + 1) / 4, momentum=0.9)

    assert told({"scheduler": schedule}, {"optimizer": warming_up_for_ever}) == ("agree", [TURN])


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
    assert (verdict.outcome, CLIP in verdict.unseen) == ("agree", True)


def test_a_line_for_each_of_them() -> None:
    assert idle_in_words((), 3, optimizer=True) == []
    assert idle_in_words(("scheduler", "clip"), 3, optimizer=True) == [CLIP, SCHEDULER]
    assert idle_in_words(("turn", "clip"), 3, optimizer=True) == [CLIP, TURN]
    assert idle_in_words(("turn", "scheduler"), 3, optimizer=True) == [SCHEDULER]
    assert "in 1 step" in idle_in_words(("clip",), 1, optimizer=True)[0]


class Clamped(small_torch.Small):
    """The small model, its numbers held below a bound that the JAX side knows nothing of."""

    def __init__(self, bound: float) -> None:
        super().__init__()
        self.bound = bound

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        return super().forward(inputs).clamp(max=self.bound)


CLAMP = "whether the jax side has what changed nothing on the torch side in 3 steps: clamp in model"


def test_a_clamp_that_is_never_reached_is_told_and_one_that_is_reached_is_compared() -> None:
    assert told({"model": lambda: Clamped(9.0)}, {}) == ("agree", [CLAMP])
    assert told({"model": lambda: Clamped(0.5)}, {}) == ("differ", [])


def test_a_recording_tells_of_the_clamp_too(tmp_path: Path) -> None:
    file = tmp_path / "small.parity"
    made = pair(torch={"model": lambda: Clamped(9.0)}, steps=3)
    write_golden(made, "torch", file, loops=())
    verdict = check_against(made, file, loops=())
    assert (verdict.outcome, CLAMP in verdict.unseen) == ("agree", True)


class Padded(small_torch.Small):
    """The small model; what is said to be padding counts as 0."""

    def forward(self, inputs: torch.Tensor, padding: torch.Tensor) -> torch.Tensor:  # type: ignore[override]
        return super().forward(inputs.masked_fill(padding, 0.0))


TRAINING = ("data", "init", "forward", "loss", "backward", "update", "trajectory")


def batches_with_padding(first: int, _: int, steps: int) -> list[dict[str, np.ndarray]]:
    """From the step `first` on, one number of each batch is padding."""
    rng = np.random.default_rng(0)
    return [
        {
            "inputs": rng.normal(size=(8, 5)), "labels": rng.integers(0, 3, 8),
            "padding": np.eye(8, 5, dtype=bool) if step >= first else np.zeros((8, 5), bool),
        }
        for step in range(steps)
    ]  # fmt: skip


def padded_loss(model: Padded, batch: dict[str, torch.Tensor]) -> torch.Tensor:
    return torch.nn.functional.cross_entropy(model(batch["inputs"], batch["padding"]), batch["labels"])


@pytest.mark.parametrize(("first", "found"), [(2, "differ"), (3, "agree")])
def test_padding_counts_as_seen_from_the_first_step_that_has_any(first: int, found: str) -> None:
    """The JAX side forgets it."""
    made = pair(
        torch={"model": Padded, "loss": padded_loss}, jax={},
        batches=partial(batches_with_padding, first), steps=3, stages=TRAINING,
    )  # fmt: skip
    verdict = check(made, dtypes=("float64",))
    lines = [line for line in verdict.unseen if "masked_fill in model" in line]
    assert (verdict.outcome, len(lines)) == (found, int(found == "agree"))


def test_operations_are_told_beside_an_optimizer_of_torchs_own_and_many_at_once_briefly() -> None:
    operations = [f"relu in blocks.{index}" for index in range(5)]
    line = "whether the jax side has what changed nothing on the torch side in 2 steps: relu in blocks.{0..4}"
    assert idle_in_words([*operations, "clip"], 2, optimizer=False) == [line]
