"""`check` as a whole, on the tiny pair: agreement where there is nothing wrong, and never where something is."""

from __future__ import annotations

from functools import cache

import pytest

from parity.judging.check import check, silent, verdict_on
from parity.judging.findings import Findings
from parity.recording import FRAMEWORKS, STAGES, USUAL_DTYPES
from parity.sides.running import Running
from parity.verdict import Verdict
from parity_tests.parity import tiny_jax
from parity_tests.parity.tiny import planted, tiny
from parity_tests.planted import MISTAKES, Mistake

pytestmark = pytest.mark.usefixtures("compiled_once")

BIT_EXACT = ("data", "init")


# Agreement

phrases: list[str] = []


@cache
def right() -> Verdict:
    return check(tiny(), progress=phrases.append)


@pytest.mark.parametrize("index", range(len(STAGES)), ids=STAGES)
def test_a_right_pair_agrees_in_every_stage_and_both_dtypes(index: int) -> None:
    assert right().outcome == "agree"
    stage = right().stages[index]
    assert (stage.stage, stage.outcome, stage.reason) == (STAGES[index], "agree", "")
    assert stage.float64 is not None
    assert set(stage.float32) == set(FRAMEWORKS)
    assert stage.compared == sum(c.key.stage == stage.stage for c in right().comparisons) > 0
    for dtype in USUAL_DTYPES:
        power = stage.power[dtype]
        assert power is None if stage.stage in BIT_EXACT else power is not None and power >= 2


@pytest.mark.parametrize("wrong", [False, True], ids=["agrees", "differs"])
def test_the_run_that_agrees_with_the_judge_is_let_go_and_one_that_differs_is_kept(wrong: bool) -> None:
    pair = planted("jax", predict=lambda model, batch: 2 * tiny_jax.predict(model, batch)) if wrong else tiny()
    sides = {framework: Running(pair, framework, 0, "cpu", silent) for framework in FRAMEWORKS}
    findings = Findings(pair, 0, "cpu", sides)
    assert (verdict_on(findings, (), silent).outcome == "differ") == wrong
    torch, jax = (findings.recordings["float64"][framework] for framework in FRAMEWORKS)
    assert torch.of("trajectory", 1)
    assert bool(jax.of("trajectory", 1)) == ("whole" in vars(sides["jax"])) == wrong
    assert jax.provenance.framework == "jax"


def test_every_comparison_is_within_its_limit() -> None:
    for found in right().comparisons:
        assert found.outcome == "agree"
        assert 0 <= found.difference <= found.limit
        assert (found.limit > 0) != (found.key.stage in BIT_EXACT or found.key.tensor.endswith(("step", "predictions")))
    assert right().first_difference is None


def test_the_limits_are_those_of_the_dtype() -> None:
    assert {c.limit for c in right().comparisons if c.dtype == "float64" and c.limit} == {1e-12}
    assert all(1e-6 < c.limit < 1e-2 for c in right().comparisons if c.dtype == "float32" and c.limit)


def test_the_verdict_says_under_which_conditions_it_was_made() -> None:
    made = [(found.dtype, found.framework, found.x64) for found in right().provenances]
    assert made == [(dtype, framework, dtype == "float64") for dtype in USUAL_DTYPES for framework in FRAMEWORKS]
    assert {found.precision for found in right().provenances} == {"float32"}
    assert (right().pair, right().seed, right().steps, right().device) == ("tiny", 0, 2, "cpu")


def test_right_answers_are_counted_and_curves_are_shown() -> None:
    (score,) = right().scores
    assert (score.name, score.total) == ("held out", 32)
    assert set(score.right) == {(framework, dtype) for framework in FRAMEWORKS for dtype in USUAL_DTYPES}
    assert len(set(score.right.values())) == 1
    assert {side: len(losses) for side, losses in right().curves.losses.items()} == {"torch": 2, "jax": 2}


def test_what_is_going_on_is_told() -> None:
    right()
    assert any("float64, torch" in phrase for phrase in phrases)
    assert any("float32, jax" in phrase for phrase in phrases)


QUICK_SEEDS, ALL_SEEDS = 3, 20


@pytest.mark.parametrize(
    "seed", [*range(1, QUICK_SEEDS), *(pytest.param(s, marks=pytest.mark.proof) for s in range(QUICK_SEEDS, ALL_SEEDS))]
)
def test_no_seed_gives_a_false_alarm(seed: int) -> None:
    verdict = check(tiny(steps=2 if seed < QUICK_SEEDS else 10), seed=seed)
    assert verdict.outcome == "agree", verdict.first_difference or [stage.reason for stage in verdict.stages]


# Planted mistakes

CAUGHT: dict[str, tuple[str, int, str, str]] = {
    "sum for mean, jax": ("loss", 0, "loss", "twice as large"),
    "missing ReLU, torch": ("forward", 0, "outer.input", "as with ReLU after inner.output"),
    "learning rate off by 1 %, torch": ("update", 0, "inner.weight", "0.990099 times as large"),
    "Adam's epsilon 1e-7 for 1e-8, jax": ("update", 0, "inner.weight", "eps 1e-07 on the jax side, 1e-08 on the torch"),
    "labels shifted by one, torch": ("data", 0, "labels", "shifted by one example"),
    "gradient not zeroed, torch": ("trajectory", 2, "loss", ""),
    "float32 arithmetic inside a float64 run, torch": ("forward", 0, "inner.output", ""),
    "a NaN, jax": ("forward", 0, "inner.output", ""),
    "a parameter that does not move, torch": ("update", 0, "outer.bias", ""),
}
"""Where each of these mistakes is planted, and so has to be caught; all others are planted into the three problems."""


@pytest.mark.parametrize("mistake", [m for m in MISTAKES if m.name in CAUGHT], ids=lambda mistake: mistake.name)
def test_a_planted_mistake_is_caught_where_it_was_planted(mistake: Mistake) -> None:
    stage, step, tensor, looks_like = CAUGHT[mistake.name]
    verdict = check(mistake.planted(tiny(steps=step + 1)), loops=("stepped",))
    assert verdict.outcome == "differ"
    assert verdict.first_difference is not None
    found = verdict.first_difference.comparison
    assert (found.key, found.dtype) == ((stage, step, tensor), mistake.dtype)
    assert found.side in (None, *mistake.sides)
    assert looks_like in verdict.first_difference.looks_like
    failed = next(row for row in verdict.stages if row.stage == stage)
    assert (failed.outcome, failed.reason.endswith("comparisons differ")) == ("differ", True)


def test_the_planted_mistakes_exist() -> None:
    assert {mistake.name for mistake in MISTAKES} >= CAUGHT.keys()
