"""Counters of an optimizer that only one side keeps are told; what it remembers otherwise is not among them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from parity.judging.passes.judge import completed
from parity.judging.unseen.counters import counters, without_counters
from parity.judging.unseen.layers import Unshown
from parity.recording import Recording
from parity_tests.parity.made_recordings import recording

WEIGHT, COUNT = np.ones(2), np.array(3)


def run(**remembered: Any) -> Recording:
    """A run whose optimizer remembers this, and whose model has a counter of its own."""
    held = {"w": WEIGHT, "seen": COUNT}
    trained = {"loss": np.array(1.0), "gradient.w": WEIGHT} | held | remembered
    return recording(("init", 0, held), ("trajectory", 0, trained), ("trajectory", 1, trained))


def alone(torch: Recording, jax: Recording, *, scheduled: bool = False) -> Unshown:
    before = Unshown(frozenset({"known"}), ("said",))
    return without_counters(before, {"torch": torch, "jax": jax}, scheduled=scheduled)


@pytest.mark.parametrize("side", ["torch", "jax"])
def test_a_counter_of_one_side_is_told_and_not_compared(side: str) -> None:
    # As `optax.apply_if_finite` has it, with a flag.
    counting, not_counting = run(step=COUNT, mini_step=COUNT, last_finite=np.array(True)), run()
    found = alone(counting, not_counting) if side == "torch" else alone(not_counting, counting)
    assert found.tensors == {"known", "step", "mini_step", "last_finite"}
    assert found.listed == ("said", f"counted on the {side} side only, and not compared: last_finite, mini_step, step")


def test_a_counter_of_both_is_compared() -> None:
    assert alone(run(step=COUNT), run(step=COUNT + 1)) == Unshown(frozenset({"known"}), ("said",))


@pytest.mark.parametrize(
    "remembered",
    [{"acc_grads.w": WEIGHT}, {"scale": np.array(0.5)}, {"step.w": COUNT}, {"ids": np.array([1, 2])}],
    ids=["moment", "number that is not whole", "count of a parameter", "several"],
)
def test_whatever_else_an_optimizer_remembers_stays_a_difference(remembered: dict[str, Any]) -> None:
    assert counters(run(**remembered)) == frozenset()
    assert alone(run(), run(**remembered)).tensors == {"known"}


def test_what_is_remembered_in_a_shape_of_its_own_is_told_and_compared_only_where_both_have_it() -> None:
    rows = np.ones(3)
    found = alone(run(**{"row.w": rows, "both.w": rows}), run(**{"v_row.w": rows, "v_col.w": rows, "both.w": rows}))
    assert found.tensors == {"known", "row.w", "v_row.w", "v_col.w"}
    words = "side only, in other shapes than the parameters', and not compared:"
    assert found.listed == (
        "said",
        f"remembered on the torch {words} row",
        f"remembered on the jax {words} v_col, v_row",
    )


def test_the_count_that_torchs_scheduler_goes_by_stays_a_difference() -> None:
    torch, jax = run(step=COUNT, other=COUNT), run()
    assert alone(torch, jax, scheduled=True).tensors == {"known", "other"}
    assert alone(jax, torch, scheduled=True).tensors == {"known", "other", "step"}


def test_where_nothing_is_trained_there_are_none() -> None:
    assert counters(recording(("init", 0, {"w": WEIGHT}))) == frozenset()


def test_the_judge_is_given_what_the_other_counts_for_its_steps_from_the_judges_states() -> None:
    judge, other = run(), run(step=COUNT, mini_step=COUNT)
    found = completed(judge, other, alone(judge, other).tensors)
    assert found.state_before(2).optimizer == {"step": COUNT, "mini_step": COUNT}
    assert judge.state_before(2).optimizer == {}
    assert completed(judge, other, ()) is judge
