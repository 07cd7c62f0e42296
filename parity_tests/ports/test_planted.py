"""Every planted mistake is caught where it was planted: three a port in every run, all in `make proof`."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from parity import random_batches
from parity.check import check
from parity.pair import Pair, load_pair
from parity.verdict import Verdict
from parity_tests.ports.mistakes import MISTAKES, PORTS
from parity_tests.ports.planted import Mistake
from parity_tests.proof import hand_in
from parity_tests.test_planted import caught

PAIRS = Path(__file__).parent.parent / "pairs"
STEPS = 2


def right_pair(port: str) -> Pair:
    """The pair of a port, with few steps: a mistake shows in the first ones."""
    return replace(load_pair(PAIRS / f"{port}.py"), steps=STEPS)


def expect_caught(mistake: Mistake, right: Pair) -> Verdict:
    """Check the wrong pair and hold the verdict to what the mistake says of itself."""
    verdict = check(mistake.planted(right), loops=())
    if not mistake.stage:
        assert verdict.outcome == "inconclusive"
        assert mistake.says in next(stage.reason for stage in verdict.stages if stage.outcome != "agree")
        return verdict
    assert verdict.outcome == "differ"
    assert verdict.first_difference is not None
    found = verdict.first_difference.comparison
    assert (found.key.stage, found.key.step, found.key.tensor, found.dtype) == (
        mistake.stage, mistake.step, mistake.tensor, "float64",
    )  # fmt: skip
    assert mistake.says in verdict.first_difference.looks_like
    return verdict
