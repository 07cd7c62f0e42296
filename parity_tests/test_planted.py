"""Every planted mistake is caught where it was planted: some in every run, all on all pairs in `make proof`."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from parity.judging.check import check
from parity.pair.importing import load_pair
from parity.pair.pair import Pair
from parity.verdict import Verdict
from parity_tests.planted import MISTAKES, MNIST, Mistake
from parity_tests.proof import hand_in

PAIRS = Path(__file__).parent / "pairs"
STEPS = 3
REPRESENTATIVE = (
    "missing ReLU, torch",
    "square kernel transposed both ways, jax",
    "learning rate off by 1 %, jax",
    "Adam's step counter in float32, torch",
    "gradient not zeroed, jax",
    "float32 arithmetic inside a float64 run, jax",
    "TF32 emulated, jax",
    "TF32 emulated on both sides",
    "a parameter that does not move, jax",
)


def right_pair(problem: str, steps: int = STEPS) -> Pair:
    """The pair of a problem, with few steps: a mistake shows in the first ones."""
    return replace(load_pair(PAIRS / f"{problem}.py"), steps=steps)


def expect_caught(mistake: Mistake, right: Pair) -> Verdict:
    """Check the wrong pair and hold the verdict to what the mistake says of itself."""
    verdict = check(mistake.planted(right), loops=("stepped",) if "zeroed" in mistake.name else ())
    if not mistake.stage:
        assert verdict.outcome != "agree"
        return verdict
    assert verdict.outcome == "differ"
    assert verdict.first_difference is not None
    found = verdict.first_difference.comparison
    assert (found.key.stage, found.key.step, found.key.tensor, found.dtype) == mistake.where(right)
    if found.side is not None:
        assert found.side in mistake.sides
    assert mistake.looks_like in verdict.first_difference.looks_like
    return verdict


def caught(verdict: Verdict) -> str:
    """Where, in the words of the table."""
    if verdict.first_difference is None:
        return next(stage.reason for stage in verdict.stages if stage.outcome != "agree")
    at = verdict.first_difference.comparison
    how_far = at.note or f"{at.difference:.1e}, limit {at.limit:.1e}"
    return f"{at.key.stage}, step {at.key.step}, `{at.key.tensor}`: {how_far}"


@pytest.mark.parametrize("mistake", [m for m in MISTAKES if m.name in REPRESENTATIVE], ids=lambda m: m.name)
def test_is_caught_on_the_mlp(mistake: Mistake) -> None:
    expect_caught(mistake, right_pair("mlp"))


@pytest.mark.parametrize(
    "mistake", [m for m in MISTAKES if m.problems == MNIST and "torch" in m.sides], ids=lambda m: m.name
)
def test_wrong_data_is_caught_on_mnist(mistake: Mistake) -> None:
    expect_caught(mistake, right_pair("mnist", steps=2))


@pytest.mark.proof
@pytest.mark.parametrize(
    ("mistake", "problem"),
    [pytest.param(m, problem, id=f"{problem}: {m.name}") for m in MISTAKES for problem in m.problems],
)
def test_every_mistake_on_every_pair(mistake: Mistake, problem: str) -> None:
    verdict = expect_caught(mistake, right_pair(problem))
    hand_in("planted", f"{problem} {mistake.name}", {"caught": caught(verdict)})


def test_the_representative_mistakes_exist() -> None:
    assert set(REPRESENTATIVE) <= {mistake.name for mistake in MISTAKES}
