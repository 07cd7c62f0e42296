"""Figures as people read them: as many digits as count, without an exponent."""

from __future__ import annotations

import math
from collections.abc import Mapping

NONE = "-"
USUAL = 3
"""Digits of a figure that has no interval."""
LEAST, MOST = 2, 4
"""Digits of one that has."""
Interval = Mapping[str, float]


def figure(value: float | None, digits: int = USUAL) -> str:
    """A number of so many significant digits."""
    if value is None:
        return NONE
    return _plain(value, _decimals(value, digits)) if value else "0"


def borne(found: Interval | None) -> int:
    """The digits that an interval bears: two where its half width is a tenth of the median, three down to a hundredth.

    Below that four.
    """
    width = (found["high"] - found["low"]) / 2 / abs(found["median"]) if found else 0.0
    # Without a width it is the ratio of something to itself.
    return min(max(1 + math.ceil(-math.log10(width)), LEAST), MOST) if width else USUAL


def with_interval(found: Interval | None) -> str:
    """A median, and its interval in brackets, down to the same decimal place."""
    if found is None:
        return NONE
    holds_one = found["low"] <= 1 <= found["high"]
    decimals = _beside_one(found["median"], _decimals(found["median"], borne(found)), holds_one)
    low, high = (
        _plain(end, _beside_one(end, max(decimals, _decimals(end, LEAST)), holds_one))
        for end in (found["low"], found["high"])
    )
    return f"{_plain(found['median'], decimals)} [{low}, {high}]"


def _beside_one(value: float, decimals: int, holds_one: bool) -> int:
    """So many decimals or more. Of an interval without 1 nothing reads as 1, since that is what a ratio is read for."""
    while not holds_one and round(value, decimals) == 1:
        decimals += 1
    return decimals


def _decimals(value: float, digits: int) -> int:
    """Digits behind the point that leave so many significant ones; negative before it. 999.6 has become 1,000."""
    return digits - 1 - int(f"{value:.{digits - 1}e}".partition("e")[2])


def _plain(value: float, decimals: int) -> str:
    return f"{round(value, decimals):,.{max(decimals, 0)}f}"
