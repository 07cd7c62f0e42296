"""Scores over many runs: equal distributions pass, Flax's default initial parameters are caught, too few are red."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from io import StringIO
from typing import Any

import numpy as np
import pytest
from rich.console import Console

from parity.command.seeds_report import print_seeds, seeds_closing_line
from parity.errors import NotCheckable
from parity.judging.seeds import ERROR_RATE, MARGIN, SeedsVerdict, check_seeds, compare_score
from parity.recording import Array, Framework
from parity_tests.parity.made_seeds import EQUAL, WITH_NAN, Scores, normal, pair

FLAX_DEFAULT = normal(0.950, 0.004)
NOTEBOOK = 0.978


def check(torch: Scores, jax: Scores, count: int = 64, seed: int = 0, **others: Any) -> SeedsVerdict:
    return check_seeds(pair(torch, jax, **others), count, seed=seed)


def printed(verdict: SeedsVerdict, width: int = 100) -> str:
    out = StringIO()
    print_seeds(Console(file=out, width=width, highlight=False), verdict)
    return out.getvalue()


def test_equal_distributions_pass() -> None:
    verdict = check(*EQUAL)
    assert verdict.outcome == "agree"
    (score,) = verdict.scores
    assert abs(score.torch.mean - 0.971) < 0.002
    assert abs(score.jax.deviation - 0.0045) < 0.001
    assert -MARGIN < score.interval[0] < score.difference < score.interval[1] < MARGIN
    assert score.p_value < ERROR_RATE


@pytest.mark.parametrize("count", [8, 64])
def test_flaxs_default_initial_parameters_are_caught(count: int) -> None:
    for sides in ((normal(0.971), FLAX_DEFAULT), (FLAX_DEFAULT, normal(0.971))):
        verdict = check(*sides, count=count)
        assert verdict.outcome == "differ"
        assert "beyond the margin of 0.005" in verdict.scores[0].reason


def test_too_few_runs_for_the_margin_are_inconclusive() -> None:
    verdict = check(*EQUAL, count=4)
    assert verdict.outcome == "inconclusive"
    assert "more seeds would tell" in verdict.scores[0].reason
    assert verdict.scores[0].p_value > ERROR_RATE


def test_an_accuracy_that_is_not_finite_is_red() -> None:
    for sides in (WITH_NAN, WITH_NAN[::-1]):
        verdict = check(*sides)
        assert verdict.outcome == "inconclusive"
        assert "1 of 64 runs on the" in verdict.scores[0].reason
        assert "have no finite accuracy" in printed(verdict)


def test_runs_that_do_not_vary_prove_nothing() -> None:
    verdict = check(normal(0.971), normal(0.971, 0.0))
    assert verdict.outcome == "inconclusive"
    assert "all runs on the jax side score 0.971" in verdict.scores[0].reason


def test_the_worst_score_decides() -> None:
    def two(mean: float) -> Scores:
        return lambda seeds, device: (
            normal(0.971)(seeds, device=device) | {"unseen": normal(mean)(np.add(seeds, 999), device=device)["seen"]}
        )

    verdict = check(two(0.953), two(0.93))
    assert [score.outcome for score in verdict.scores] == ["agree", "differ"]
    assert verdict.outcome == "differ"


def test_the_error_rate_is_what_is_stated() -> None:
    """At a true difference of exactly the margin, one of twenty comparisons passes; at none, nearly all do."""
    generator = np.random.default_rng(0)

    def passes(apart: float) -> float:
        draws = generator.normal(0, 0.0045, (400, 2, 64)) + np.array([[0.97], [0.97 - apart]])
        found = [compare_score("seen", torch, jax, pair(None, None)).outcome for torch, jax in draws]
        return found.count("agree") / len(found)

    assert 0.02 < passes(MARGIN) < 0.08
    assert passes(0.0) > 0.99


def test_interval_and_p_value_are_those_of_two_welch_tests() -> None:
    from scipy import stats  # type: ignore[import-untyped]

    generator = np.random.default_rng(1)
    torch, jax = generator.normal(0.971, 0.004, 40), generator.normal(0.969, 0.007, 64)
    score = compare_score("seen", torch, jax, pair(None, None))
    interval = stats.ttest_ind(torch, jax, equal_var=False).confidence_interval(1 - 2 * ERROR_RATE)
    assert score.interval == pytest.approx((interval.low, interval.high), rel=1e-9)
    below = stats.ttest_ind(torch - MARGIN, jax, equal_var=False, alternative="less").pvalue
    above = stats.ttest_ind(torch + MARGIN, jax, equal_var=False, alternative="greater").pvalue
    assert score.p_value == pytest.approx(max(below, above), rel=1e-9)


def test_each_side_has_its_own_seeds() -> None:
    asked: dict[str, Sequence[int]] = {}

    def watched(side: str) -> Scores:
        def scores(seeds: Sequence[int], *, device: str) -> dict[str, Array]:
            asked[side] = seeds
            return normal(0.971)(seeds, device=device)

        return scores

    verdict = check(watched("torch"), watched("jax"), count=16, seed=5)
    assert asked == {"torch": list(range(5, 21)), "jax": list(range(21, 37))} == verdict.seeds


# The published figure


def test_with_64_runs_it_is_told_where_the_published_figure_falls() -> None:
    verdict = check(*EQUAL, published={"seen": NOTEBOOK})
    (score,) = verdict.scores
    assert score.torch.reached == sum(accuracy >= NOTEBOOK for accuracy in score.torch.accuracies)
    assert 0 < score.torch.reached < 16
    assert f"published, seen 0.978: {score.torch.reached} of 64 torch runs reach it, +1." in printed(verdict)
    assert check(*EQUAL, count=63, published={"seen": NOTEBOOK}).scores[0].torch.reached is None
    assert "with 64 seeds or more it is told where it falls" in printed(
        check(*EQUAL, count=32, published={"seen": NOTEBOOK})
    )
    assert "published" not in printed(check(*EQUAL))


def test_a_float32_accuracy_reaches_the_figure_that_it_rounds() -> None:
    accuracies = np.linspace(0.96, 0.97, 64)
    accuracies[0] = np.float32(0.978)
    assert accuracies[0] < NOTEBOOK
    score = compare_score("seen", accuracies, accuracies[::-1], pair(None, None, published={"seen": NOTEBOOK}))
    assert (score.torch.reached, score.jax.reached) == (1, 1)


# What cannot be compared


def changed(change: Callable[[dict[str, Array]], Any]) -> Scores:
    def scores(seeds: Sequence[int], *, device: str) -> dict[str, Array]:
        found = normal(0.971)(seeds, device=device)
        change(found)
        return found

    return scores


@pytest.mark.parametrize(
    ("jax", "message"),
    [
        (changed(lambda found: found.update(seen=found["seen"][:-1])), r"seen has shape \(7,\), expected one accuracy"),
        (changed(lambda found: found.update(seen=100 * found["seen"])), "is no accuracy: expected 0 to 1"),
        (changed(lambda found: found.update(other=found["seen"])), r"torch has \['seen'\], jax \['other', 'seen'\]"),
        (changed(lambda found: found.clear()), r"jax \[\]"),
        (changed(lambda found: 1 / 0), "the jax side's scores failed: ZeroDivisionError"),
    ],
    ids=["too few", "per cent", "another score", "no score", "fails"],
)
def test_scores_that_cannot_be_compared_are_told(jax: Scores, message: str) -> None:
    with pytest.raises(NotCheckable, match=message):
        check(normal(0.971), jax, count=8)


def test_neither_side_scoring_anything_is_told() -> None:
    nothing = changed(lambda found: found.clear())
    with pytest.raises(NotCheckable, match=r"torch has \[\], jax \[\]"):
        check(nothing, nothing, count=8)


@pytest.mark.parametrize(("count", "message"), [(1, "at least 2 runs"), (0, "at least 2 runs")])
def test_a_single_run_has_no_spread(count: int, message: str) -> None:
    with pytest.raises(NotCheckable, match=message):
        check(*EQUAL, count=count)


@pytest.mark.parametrize("framework", ["torch", "jax"])
def test_a_side_without_scores_is_told(framework: Framework) -> None:
    sides = (None, normal(0.971)) if framework == "torch" else (normal(0.971), None)
    with pytest.raises(NotCheckable, match=f"the {framework} side names no scores"):
        check_seeds(pair(*sides), 8)


# What is printed


@pytest.mark.parametrize("width", [80, 100])
@pytest.mark.parametrize("sides", [EQUAL, WITH_NAN, (normal(0.971), FLAX_DEFAULT)], ids=["equal", "nan", "flax"])
def test_the_table_is_readable(sides: tuple[Scores, Scores], width: int) -> None:
    verdict = check(*sides)
    lines = printed(verdict, width).splitlines()
    assert lines[0].rstrip() == "made  64 runs a side, cpu: torch seeds 0 to 63, JAX 64 to 127"
    (row,) = [line.split() for line in lines if line.startswith("seen ")]
    score = verdict.scores[0]
    assert row[1:3] == [f"{score.torch.mean:.4f}", f"{score.torch.deviation:.4f}"]
    assert row[3:5] == [f"{score.jax.mean:.4f}", f"{score.jax.deviation:.4f}"]
    assert row[-1] == verdict.outcome
    assert max(map(len, lines[:4])) <= width
    assert "margin, 0.005 either way" in " ".join(lines)


def test_closing_line() -> None:
    equal, apart, few = check(*EQUAL), check(normal(0.971), FLAX_DEFAULT), check(*EQUAL, count=4)
    assert seeds_closing_line([equal], 2.0).plain == "AGREE: equivalent scores in PyTorch and in JAX: made (2 s)"
    assert seeds_closing_line([equal, few, apart], 2.0).plain.startswith("DIFFER: other scores")
    assert seeds_closing_line([equal, few], 2.0).plain.startswith("INCONCLUSIVE: made (2 s)")
