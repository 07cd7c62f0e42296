"""What a whole case changed by between two results, or one framework of it: what the machine did, and what not."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from statistics import median
from typing import Any, NamedTuple

from benchmarks.rows import full_name, timed_once
from benchmarks.variants import BASELINE

ENOUGH = 3
"""Rows that tell a drift: the median of three withstands one that changed by itself, that of two does not."""
OUTLIER = 3.5
"""Spreads by which a row stands out from its case. Source: Iglewicz and Hoaglin, How to Detect and Handle Outliers,
1993, who call an outlier what is further than that from the median."""
DEVIATIONS = 1.4826
"""A standard deviation in median absolute deviations, where errors are normal. Source: as above."""
TOGETHER = 1.5
"""The factor above which a case that is slower as a whole, or one framework of it beside the other, is no drift of the
machine. Measured on two shared cores, three runs of everything within some hours, 14 cases each: from one run to
the next a case moved by 1.24 at most; the median of a case's pairs by 1.38 (of the line fit, with its runs of 2 ms),
and for MNIST at the notebook's size by 1.02; a single pair by 1.85."""
LIBRARIES = {"torch": ("torch",), "jax": ("jax", "jaxlib", "flax", "optax")}
"""What a framework's rows are timed with."""


class Both(NamedTuple):
    """A case that both results have: its noise, its variants and its matched pairs in the old and the new one."""

    name: str
    device: str
    noise: float | None
    rows: Sequence[tuple[Mapping[str, Any], Mapping[str, Any]]]
    pairs: Sequence[tuple[Mapping[str, Any], Mapping[str, Any]]]


class Drift(NamedTuple):
    """The factor by which the rows of a case changed together, and that by which one has to stand out from it."""

    factor: float
    margin: float


def unchanged(old: Mapping[str, str], new: Mapping[str, str]) -> list[str]:
    """The frameworks that tell what the machine's part is: those of one version in both results, or else all."""
    return [
        framework for framework, packages in LIBRARIES.items()
        if all(old.get(package) == new.get(package) for package in packages)
    ] or list(LIBRARIES)  # fmt: skip


def drifts(cases: Sequence[Both], steady: Sequence[str]) -> list[Drift | None]:
    """The drift of each case, by its rows or, where they are too few, by those of all; None where these are, too.

    The spread of few rows is often small by luck, so that of all cases together is the least that counts.
    """
    changed = [_logarithms(case, steady) for case in cases]
    everywhere = [value for values in changed for value in values]
    usual = _spread([value - median(values) for values in changed if len(values) >= ENOUGH for value in values])
    found: list[Drift | None] = []
    for case, values in zip(cases, changed, strict=True):
        taken = values if len(values) >= ENOUGH else everywhere
        if case.device != "cpu":
            found.append(Drift(1.0, 1.0))
        elif len(taken) < ENOUGH:
            found.append(None)
        else:
            spread = max(usual, _spread([value - median(taken) for value in taken]))
            found.append(Drift(math.exp(median(taken)), math.exp(OUTLIER * spread)))
    return found


def _logarithms(case: Both, steady: Sequence[str]) -> list[float]:
    return [
        math.log(now["step_us"]["median"] / before["step_us"]["median"]) for before, now in case.rows
        if before["step_us"] and now["step_us"] and now["framework"] in steady
    ]  # fmt: skip


def _spread(residuals: Sequence[float]) -> float:
    """A standard deviation that a few large residuals do not move."""
    return DEVIATIONS * median(map(abs, residuals)) if residuals else 0.0


def told(case: Both, drift: Drift | None) -> str:
    """The drift of a case in a line; empty where it is no more than noise."""
    if drift is None or abs(math.log(drift.factor)) <= math.log(case.noise or 1.0):
        return ""
    return f"{case.name}: all of it takes {drift.factor:.3g} times as long as before; each row is judged beside that"


class Moved(NamedTuple):
    """The framework of a case that changed beside the other, by what factor, and whether it is slower or faster now."""

    framework: str
    factor: float
    says: str


def moved(case: Both, steady: Sequence[str]) -> Moved | None:
    """What the pairs of a case say that its drift would hide; None where they say nothing.

    A pair's ratio is taken round by round, and knows nothing of how fast the machine was. One whose intervals touch, or
    that moved within the noise, has not moved. Of fewer than three pairs the one that moved least counts. Which of the
    two changed is what was upgraded alone, or else the one whose own times moved further.
    """
    values = [_pair(was, now, case.noise or 1.0) for was, now in case.pairs]
    if case.device != "cpu" or not values:
        return None
    # Above 0 torch takes longer beside JAX than it did.
    value = median(values) if len(values) >= ENOUGH else min(values, key=abs)
    if abs(value) <= math.log(TOGETHER):
        return None
    own = {framework: abs(median(_logarithms(case, [framework]) or [0.0])) for framework in LIBRARIES}
    changed = max((name for name in LIBRARIES if len(steady) > 1 or name not in steady), key=own.__getitem__)
    slower = (changed == "torch") == (value > 0)
    return Moved(changed, math.exp(abs(value) if slower else -abs(value)), "slower" if slower else "faster")


def _pair(was: Mapping[str, Any], now: Mapping[str, Any], noise: float) -> float:
    """The logarithm of how far torch's time over JAX's has moved; 0 where that is not certain."""
    apart = now["low"] > was["high"] or now["high"] < was["low"]
    value = math.log(now["median"] / was["median"])
    return value if apart and abs(value) > math.log(noise) else 0.0


def pairs_of(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[tuple[Mapping[str, Any], Mapping[str, Any]]]:
    """The ratios of torch's time to JAX's that a case has in both results: of its matched pairs.

    Where it has none, JAX's variants beside the notebook's loop.
    """
    was, now = (_ratios(entry) for entry in (old, new))
    return [(was[name], now[name]) for name in now if name in was]


def _ratios(entry: Mapping[str, Any]) -> dict[tuple[str, str], Mapping[str, Any]]:
    pairs = {(pair["first"], pair["second"]): pair["ratio"] for pair in entry["pairs"]}
    found = {
        names: ratio for names, ratio in pairs.items() if [name.partition(" ")[0] for name in names] == [*LIBRARIES]
    }
    return found or {
        (BASELINE, full_name(one)): one["times_notebook"]
        for one in timed_once(entry) if one["framework"] == "jax" and one["times_notebook"]
    }  # fmt: skip
