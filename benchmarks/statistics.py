"""Medians and ratios with the interval that rounds leave them: SciPy's bootstrap, 95 %."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from scipy.stats import bootstrap  # type: ignore[import-untyped]

CONFIDENCE = 0.95
RESAMPLES = 2000


class Interval(NamedTuple):
    """A median and the interval that holds it with 95 % confidence."""

    median: float
    low: float
    high: float

    def holds(self, value: float) -> bool:
        """Whether a value lies in the interval."""
        return self.low <= value <= self.high


def interval(values: Sequence[float]) -> Interval:
    """The median of one value a round, at least two, with its interval.

    Source: Efron and Tibshirani, An Introduction to the Bootstrap, 1993: the percentile interval.
    """
    found = bootstrap(
        (np.asarray(values, float),), np.median, confidence_level=CONFIDENCE, n_resamples=RESAMPLES,
        method="percentile", rng=np.random.default_rng(0),
    ).confidence_interval  # fmt: skip
    return Interval(float(np.median(values)), float(found.low), float(found.high))


def by_round(runs: Sequence[Mapping[str, Any]]) -> dict[tuple[int, int], float]:
    """The seconds of runs, by the session that took them and the round: only what was timed in turns makes a ratio."""
    return {(run.get("session", 0), run["round"]): run["seconds"] for run in runs}


def ratio(first: Mapping[Any, float], second: Mapping[Any, float]) -> Interval | None:
    """The first's time over the second's, both by round, round by round; None where two rounds are not of both."""
    both = sorted(first.keys() & second.keys())
    return interval([first[index] / second[index] for index in both]) if len(both) > 1 else None


def noise_of(twins: Sequence[Interval]) -> float:
    """The largest factor by which the same variant, timed twice, may be found to differ from itself; 1 for none."""
    ends = [abs(math.log(end)) for twin in twins for end in twin]
    return math.exp(max(ends, default=0.0))


def beyond(found: Interval, noise: float) -> bool:
    """Whether a ratio says that two variants differ: 1 is outside of it, and it is more than noise."""
    return not found.holds(1.0) and abs(math.log(found.median)) > math.log(noise)
