"""The ports agree with what they are ports of: one seed and few steps (one in every run, the others in `make slow`),
20 whole ones in `make proof`.
"""

from __future__ import annotations

import pytest

from parity.judging.check import check
from parity.recording import STAGES
from parity.verdict import Verdict
from parity_tests.ports.mistakes import MISTAKES
from parity_tests.ports.quick import quick, whole
from parity_tests.proof import ALARM_SEEDS, hand_in
from parity_tests.test_pairs import alarm_row

pytestmark = pytest.mark.usefixtures("compiled_once")

ALWAYS = "gpt"
"""Of the others `make test` plants a mistake, but for the largest."""
CEILING = 1e-9
"""No float64 limit of a port is above this."""


def expect_agreement(verdict: Verdict) -> None:
    """All stages were compared, and agree within limits in float64 that are never above the ceiling."""
    assert verdict.outcome == "agree", verdict.first_difference or [stage.reason for stage in verdict.stages]
    assert [stage.stage for stage in verdict.stages if stage.compared] == list(STAGES)
    assert all(c.limit <= CEILING for c in verdict.comparisons if c.dtype == "float64")


@pytest.mark.parametrize("port", [pytest.param(p, marks=() if p == ALWAYS else pytest.mark.slow) for p in MISTAKES])
def test_agrees(port: str) -> None:
    expect_agreement(check(quick(port, steps=1), loops=()))


@pytest.mark.proof
@pytest.mark.parametrize("seed", ALARM_SEEDS)
@pytest.mark.parametrize("port", MISTAKES)
def test_raises_no_false_alarm(port: str, seed: int) -> None:
    verdict = check(whole(port), seed=seed, loops=())
    hand_in("seeds of ports", f"{port} {seed}", alarm_row(verdict))
    expect_agreement(verdict)
