"""Frozen parameters: whatever moves them is told, and what is named after them is not compared."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pytest

from parity.judging.unseen.frozen import compare_frozen, without_frozen
from parity.judging.unseen.layers import Unshown
from parity.recording import Array, Framework, Recording
from parity_tests.parity.made_recordings import recording

FROZEN = frozenset({"a.weight"})
START = np.array([1.0, -4.0])


def run(*steps: Array) -> Recording:
    """A run in which the frozen parameter stands like this after each step, and another one always moves."""
    groups = [("init", 0, {"a.weight": START, "b.a.weight": START})]
    for stage in ("update", "trajectory"):
        groups += [(stage, step, {"a.weight": array, "b.a.weight": START + step}) for step, array in enumerate(steps)]
    return recording(*groups)


def sides(torch: Recording, jax: Recording) -> Mapping[Framework, Recording]:
    return {"torch": torch, "jax": jax}


def test_what_stays_agrees_bit_for_bit_in_every_step() -> None:
    found = compare_frozen(sides(run(START, START), run(START, START)), FROZEN, "float64")
    assert [(str(c.key), c.outcome, c.difference, c.limit) for c in found] == [
        (f"{stage}, step {step}, a.weight", "agree", 0.0, 0.0)
        for stage, step in (("update", 0), ("update", 1), ("trajectory", 0), ("trajectory", 1))
    ]


@pytest.mark.parametrize(
    ("torch", "jax", "note"),
    [
        ((START, START * 1.5), (START, START), "declared frozen, and moved on the torch side"),
        ((START, START), (START, START * 1.5), "declared frozen, and moved on the jax side"),
        ((START, START * 1.5), (START, START * 1.5), "declared frozen, and moved on both sides"),
    ],
)
def test_what_moves_is_told_with_its_step_and_side(torch: tuple[Array, ...], jax: tuple[Array, ...], note: str) -> None:
    found = compare_frozen(sides(run(*torch), run(*jax)), FROZEN, "float64")
    assert [(c.key.step, c.difference, c.note) for c in found if c.outcome == "differ"] == [(1, 0.5, note)] * 2


def test_the_smallest_move_is_one() -> None:
    nearly = np.nextafter(START, 9)
    assert {c.outcome for c in compare_frozen(sides(run(nearly), run(START)), FROZEN, "float64")} == {"differ"}


def test_what_is_not_there_or_not_finite_differs() -> None:
    found = compare_frozen(sides(run(START, START), run(START)), FROZEN, "float64")
    assert [c.note for c in found if c.key.step == 1] == ["missing on the jax side"] * 2
    found = compare_frozen(sides(run(START), run(np.array([np.nan, 1.0]))), FROZEN, "float64")
    assert {c.note for c in found} == {"NaN on the jax side"}


def test_its_gradients_and_moments_are_not_compared_and_those_of_longer_names_are() -> None:
    run_of_both = run(START)
    names = [f"{what}.{of}" for what in ("gradient", "exp_avg") for of in ("a.weight", "b.a.weight")]
    run_of_both.add("trajectory", 0, dict.fromkeys(names, START))
    found = without_frozen(Unshown(frozenset({"x"}), ("known",)), FROZEN, sides(run_of_both, run(START)))
    assert found.tensors == {"x", "gradient.a.weight", "exp_avg.a.weight"}
    assert found.listed == ("known", "frozen: a.weight: neither their gradients nor their moments are compared")


def test_activations_whose_names_end_alike_are_compared() -> None:
    run_of_both = run(START)
    run_of_both.add("init", 0, {"input": START})
    run_of_both.add("forward", 0, {"a.input": START})
    run_of_both.add("backward", 0, {"a.input": START})
    run_of_both.add("trajectory", 0, {"gradient.input": START})
    found = without_frozen(Unshown(), frozenset({"input"}), sides(run_of_both, run(START)))
    assert found.tensors == {"gradient.input"}


def test_where_nothing_is_frozen_nothing_is_said() -> None:
    assert without_frozen(Unshown(), frozenset(), sides(run(START), run(START))) == Unshown()
