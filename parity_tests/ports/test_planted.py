"""Every planted mistake is caught where it was planted: three a port in every run (ResNet-18: in
`make slow`), all in `make proof`.
"""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from parity.judging.check import check
from parity.pair.pair import Pair
from parity.recording import DTYPES, Dtype
from parity.verdict import Verdict
from parity_tests.ports.mistakes import MISTAKES, REPRESENTATIVE
from parity_tests.ports.planted import Mistake
from parity_tests.ports.quick import LARGE, quick
from parity_tests.proof import hand_in
from parity_tests.test_planted import caught

pytestmark = pytest.mark.usefixtures("compiled_quickly")

ALL = [pytest.param(port, mistake, id=f"{port}: {mistake.name}") for port in MISTAKES for mistake in MISTAKES[port]]
FEW = [
    pytest.param(port, m, id=f"{port}: {m.name}", marks=pytest.mark.slow if port in LARGE else ())
    for port in MISTAKES for m in MISTAKES[port] if m.name in REPRESENTATIVE[port]
]  # fmt: skip
LEAST = 20
"""Mistakes a port."""


def expect_caught(mistake: Mistake, right: Pair, dtypes: Sequence[Dtype] = DTYPES) -> Verdict:
    """Check the wrong pair and hold the verdict to what the mistake says of itself."""
    verdict = check(mistake.planted(right), loops=(), dtypes=dtypes)
    if not mistake.stage:
        assert verdict.outcome == "inconclusive"
        assert any(mistake.says in stage.reason for stage in verdict.stages)
        return verdict
    assert verdict.outcome == "differ"
    assert verdict.first_difference is not None
    found = verdict.first_difference.comparison
    where = (mistake.stage, mistake.step, mistake.tensor)
    assert (*found.key, found.dtype) == (*where, "float64")
    assert mistake.says in verdict.first_difference.looks_like
    return verdict


@pytest.mark.parametrize(("port", "mistake"), FEW)
def test_is_caught(port: str, mistake: Mistake) -> None:
    # Float64 as far as the step where it shows is all that there is time for in every run.
    expect_caught(mistake, quick(port, mistake.step + 1), ("float64",))


@pytest.mark.proof
@pytest.mark.parametrize(("port", "mistake"), ALL)
def test_every_mistake_in_every_port(port: str, mistake: Mistake) -> None:
    verdict = expect_caught(mistake, quick(port))
    said = caught(verdict) if mistake.stage else f"inconclusive: {mistake.says}"
    hand_in("planted in ports", f"{port} {mistake.name}", {"caught": said})


@pytest.mark.parametrize("port", MISTAKES)
def test_there_are_enough_mistakes_a_port_and_no_two_of_one_name(port: str) -> None:
    names = [mistake.name for mistake in MISTAKES[port]]
    assert len(names) == len(set(names)) >= LEAST
    assert set(REPRESENTATIVE[port]) <= set(names)
