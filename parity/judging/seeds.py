"""Whether the two sides score alike over many independent runs: means, spreads, and an equivalence test.

Free-running float32 training is chaotic, so two right programs score differently from run to run. What can be compared
is the distribution of the scores over runs with their own draws.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from parity.errors import NotCheckable
from parity.pair.pair import Pair
from parity.recording import FRAMEWORKS, Array, Device, Framework
from parity.sides.live import live_side
from parity.sides.parts import Parts
from parity.verdict import Outcome, worst

MARGIN = 0.005
"""Mean accuracies that are nearer than this count as equivalent.

About one standard deviation of a single run (measured on MNIST over 60 seeds: 0.0045), so that which side was taken
matters no more than which seed; and a quarter of what Flax's default initial parameters cost there (0.950 for 0.971),
which has to be seen.
"""
ERROR_RATE = 0.05
"""How often the test may call two sides equivalent that are exactly the margin apart; and, likewise, different."""
PUBLISHED_FROM = 64
"""Runs a side from which it is said where a published figure falls: it may be a matter of 2 or 3 runs in 100."""
ROUNDING = 1e-6
"""A run reaches a published figure also where its accuracy, perhaps a float32, is below it by rounding alone."""


@dataclass(frozen=True)
class Sample:
    """Accuracies of one side's runs, between 0 and 1; `reached`: how many reach the published figure, if it is told."""

    mean: float
    deviation: float
    accuracies: list[float]
    reached: int | None = None


@dataclass(frozen=True)
class SeedsScore:
    """One score of both sides over their runs.

    Attributes:
        name: of the score.
        scored_on: what it is scored on, in words.
        torch, jax: the two samples.
        difference: mean of torch minus mean of JAX.
        interval: lowest and highest difference of the true means that the samples leave room for, each with
            `ERROR_RATE` of being beyond (Welch). Both sides are equivalent where it lies within the margin.
        p_value: of the two one-sided tests for equivalence, the larger one.
        published: the figure that somebody published, if the pair names one.
        outcome: of this score.
        reason: why it is not `agree`, one line; empty otherwise.
    """

    name: str
    scored_on: str
    torch: Sample
    jax: Sample
    difference: float
    interval: tuple[float, float]
    p_value: float
    published: float | None
    outcome: Outcome
    reason: str = ""


@dataclass(frozen=True)
class SeedsVerdict:
    """The scores of a pair over many runs. `seeds` are those of each side, no seed on both."""

    pair: str
    outcome: Outcome
    scores: list[SeedsScore]
    seeds: dict[Framework, list[int]]
    margin: float
    error_rate: float
    device: Device
    provenances: list[dict[str, Any]]
    seconds: float


def check_seeds(
    pair: Pair, count: int, *, seed: int = 0, device: Device = "cpu", progress: Callable[[str], None] | None = None
) -> SeedsVerdict:
    """Train `count` runs a side, torch from `seed` on and JAX from `seed + count` on, and compare their scores.

    Raises:
        NotCheckable: fewer than 2 runs, the pair offers no scores, a framework is missing, or a side's code raised.
    """
    started = time.monotonic()
    if count < 2:
        raise NotCheckable(f"--seeds {count}: a spread needs at least 2 runs a side")
    if lacking := [framework for framework in FRAMEWORKS if pair.side(framework).scores is None]:
        raise NotCheckable(f"pair {pair.name}: the {lacking[0]} side names no scores, which --seeds compares")
    seeds = {"torch": list(range(seed, seed + count)), "jax": list(range(seed + count, seed + 2 * count))}
    of_side: dict[Framework, list[int]] = {framework: seeds[framework] for framework in FRAMEWORKS}
    # Before the long work, so that a missing framework or GPU is told at once.
    provenances = [live_side(pair.side(f), f, "float32", device).provenance().document() for f in FRAMEWORKS]
    found: dict[Framework, dict[str, Array]] = {}
    for framework in FRAMEWORKS:
        if progress:
            progress(f"{framework}: {count} runs")
        accuracies = Parts(pair.side(framework), framework).scores(of_side[framework], device=device)
        found[framework] = _checked(accuracies, count, framework)
    scores = compare_scores(found, pair)
    return SeedsVerdict(
        pair.name, worst(score.outcome for score in scores), scores, of_side, MARGIN, ERROR_RATE, device, provenances,
        time.monotonic() - started,
    )  # fmt: skip


def _checked(scores: Mapping[str, Any], count: int, framework: Framework) -> dict[str, Array]:
    arrays = {name: np.asarray(accuracies, np.float64) for name, accuracies in scores.items()}
    for name, array in arrays.items():
        if array.shape != (count,):
            raise NotCheckable(
                f"the {framework} side's scores: {name} has shape {array.shape}, expected one accuracy of each of "
                f"{count} runs"
            )
        # NaN is let through: it is a result, and a red one.
        if np.any(array < 0) or np.any(array > 1):
            raise NotCheckable(f"the {framework} side's scores: {name} is no accuracy: expected 0 to 1")
    return arrays


def compare_scores(found: Mapping[Framework, Mapping[str, Array]], pair: Pair) -> list[SeedsScore]:
    """Every score of the two sides.

    Raises:
        NotCheckable: a score is on one side only, or there is none at all.
    """
    torch, jax = found["torch"], found["jax"]
    if set(torch) != set(jax) or not torch:
        raise NotCheckable(
            f"pair {pair.name}: the scores of the two sides are not the same: torch has {sorted(torch)}, "
            f"jax {sorted(jax)}"
        )
    return [compare_score(name, torch[name], jax[name], pair) for name in torch]


def compare_score(name: str, torch: Array, jax: Array, pair: Pair) -> SeedsScore:
    """One score: the difference of the means, its interval (Welch), and what follows from the margin."""
    published = pair.published.get(name)
    samples = [_sample(accuracies, published) for accuracies in (torch, jax)]
    apart = samples[0].mean - samples[1].mean
    if reason := _unusable(torch, "torch") or _unusable(jax, "jax"):
        interval, p_value = (float("nan"), float("nan")), float("nan")
        outcome: Outcome = "inconclusive"
    else:
        interval, p_value = _equivalence(torch, jax)
        outcome, reason = _judged(interval)
    return SeedsScore(
        name, pair.scored_on.get(name, name), samples[0], samples[1], apart, interval, p_value, published, outcome,
        reason,
    )  # fmt: skip


def _sample(accuracies: Array, published: float | None) -> Sample:
    enough = published is not None and accuracies.size >= PUBLISHED_FROM
    reached = int(np.sum(accuracies >= published - ROUNDING)) if published is not None and enough else None
    return Sample(float(np.mean(accuracies)), float(np.std(accuracies, ddof=1)), accuracies.tolist(), reached)


def _unusable(accuracies: Array, framework: Framework) -> str:
    lost = int(np.sum(~np.isfinite(accuracies)))
    if lost:
        return f"{lost} of {accuracies.size} runs on the {framework} side have no finite accuracy"
    if np.ptp(accuracies) == 0:
        return f"all runs on the {framework} side score {accuracies[0]:g}: its seeds may not reach what it draws"
    return ""


def _equivalence(torch: Array, jax: Array) -> tuple[tuple[float, float], float]:
    """Welch's interval of the difference of two means, and the p-value of two one-sided tests against the margin.

    Schuirmann (1987), A comparison of the two one-sided tests procedure; degrees of freedom: Welch (1947).
    """
    from scipy import stats  # type: ignore[import-untyped]

    shares = [float(np.var(sample, ddof=1)) / sample.size for sample in (torch, jax)]
    error = sum(shares) ** 0.5
    freedom = sum(shares) ** 2 / sum(
        share**2 / (n - 1) for share, n in zip(shares, (torch.size, jax.size), strict=True)
    )
    apart = float(np.mean(torch) - np.mean(jax))
    reach = float(stats.t.ppf(1 - ERROR_RATE, freedom)) * error
    p_value = float(stats.t.sf((MARGIN - abs(apart)) / error, freedom))
    return (apart - reach, apart + reach), p_value


def _judged(interval: tuple[float, float]) -> tuple[Outcome, str]:
    low, high = interval
    if low > -MARGIN and high < MARGIN:
        return "agree", ""
    told = f"the means are {low:+.4f} to {high:+.4f} apart"
    if low >= MARGIN or high <= -MARGIN:
        return "differ", f"{told}, beyond the margin of {MARGIN}"
    return "inconclusive", f"{told}, which the margin of {MARGIN} cuts through: more seeds would tell"
