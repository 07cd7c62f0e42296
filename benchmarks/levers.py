"""What a variant saves of the one that it adds to: `after` in the table of variants, round by round, beyond noise."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from benchmarks.rows import full_name
from benchmarks.statistics import beyond, by_round, ratio
from benchmarks.variants import VARIANTS

PLACES = {variant.full_name: place for place, variant in enumerate(VARIANTS)}
AFTER = {variant.full_name: f"{variant.framework} {variant.after}" for variant in VARIANTS if variant.after}

Found = Mapping[str, Any]


def in_order(found: Sequence[Found]) -> list[Found]:
    """Variants in the order of the table of variants; behind them what an older result has and the table no more."""
    return sorted(found, key=lambda one: PLACES.get(full_name(one), len(PLACES)))


def predecessor(one: Found, timed: Sequence[Found]) -> Found | None:
    """The nearest variant that this one adds to, of those that were timed; None where there is none."""
    known = {full_name(found): found for found in timed}
    name = AFTER.get(full_name(one))
    while name and name not in known:
        name = AFTER.get(name)
    return known[name] if name else None


def saved(one: Found, before: Found, noise: float | None) -> float | None:
    """The share of a step that a variant saves of another, over the rounds that both have.

    None where it saves nothing, where that is no more than noise, and where noise is not known.
    """
    told = ratio(by_round(before["runs"]), by_round(one["runs"]))
    if noise is None or told is None:
        return None
    return 1 - 1 / told.median if told.median > 1 and beyond(told, noise) else None
