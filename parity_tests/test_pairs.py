"""The three pairs agree: one seed in every run, twenty and all loops in `make proof`."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from parity.command.document import float64_figures
from parity.judging.check import check
from parity.pair.importing import load_pair
from parity.recording import STAGES
from parity.verdict import Verdict
from parity_tests.proof import ALARM_SEEDS, FIGURE_SEEDS, PROBLEMS, Row, hand_in

PAIRS = Path(__file__).parent / "pairs"
HELD_TO = {"losses": 1e-13, "gradients": 1e-11, "optimizer_state": 1e-11, "parameters": 1e-10}
"""Relative to the tensor's scale, over all steps. Measured beforehand: 5e-16, 4e-13, 4e-13, 3e-12."""


QUICK_STEPS = {"mnist": 10}
"""Where all 100 steps would be a sixth of the time of all tests. `make proof` takes them, and `parity` does."""


def expect_agreement(verdict: Verdict) -> None:
    """All stages were compared and agree, with their figures inside what the three problems are held to."""
    assert verdict.outcome == "agree", verdict.first_difference or [stage.reason for stage in verdict.stages]
    assert [stage.stage for stage in verdict.stages] == list(STAGES)
    assert all(stage.compared for stage in verdict.stages)
    for figures in float64_figures(verdict.comparisons)["by_loop"]:
        for group, held_to in HELD_TO.items():
            assert figures[group] is None or figures[group] <= held_to, (figures["loop"], group)


def nearest(verdict: Verdict, dtype: str) -> float:
    """The largest difference of a verdict in its limits; 1 is an alarm."""
    within = [c for c in verdict.comparisons if c.dtype == dtype and c.limit]
    return max(c.difference / c.limit for c in within)


def smallest_power(verdict: Verdict) -> float:
    """The smallest power of all stages that have one."""
    return min(power for stage in verdict.stages for power in stage.power.values() if power is not None)


def alarm_row(verdict: Verdict) -> Row:
    """How near a right pair came to a false alarm."""
    row: Row = {"outcome": verdict.outcome, "power": smallest_power(verdict)}
    row |= {dtype: nearest(verdict, dtype) for dtype in ("float64", "float32")}
    return row | {"flips": sum("flipped" in line for line in verdict.listed)}


@pytest.mark.parametrize("problem", PROBLEMS)
def test_agrees(problem: str) -> None:
    pair = load_pair(PAIRS / f"{problem}.py")
    expect_agreement(check(replace(pair, steps=QUICK_STEPS.get(problem, pair.steps))))


@pytest.mark.proof
@pytest.mark.parametrize("seed", ALARM_SEEDS)
@pytest.mark.parametrize("problem", PROBLEMS)
def test_raises_no_false_alarm(problem: str, seed: int) -> None:
    verdict = check(load_pair(PAIRS / f"{problem}.py"), seed=seed, loops=None if seed in FIGURE_SEEDS else ())
    hand_in("seeds", f"{problem} {seed}", alarm_row(verdict))
    if seed in FIGURE_SEEDS:
        hand_in("figures", f"{problem} {seed}", float64_figures(verdict.comparisons))
    expect_agreement(verdict)
