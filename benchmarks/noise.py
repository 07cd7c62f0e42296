"""How far the figures of a result can be trusted: the noise of a case, what brackets hold, and other work beside it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from benchmarks.case import BATCH_SIZE, WIDTH
from benchmarks.figures import figure

FEWEST = 5
"""Rounds for a 95 % interval. With fewer, the percentile bootstrap goes from the smallest to the largest, and holds the
true median in 50 % of all cases with two, 75 with three, 88 with four; with five it is 94.
"""
IDLE = 0.5
"""The share of the cores that may be wanted before a result is begun."""
BUSY = 0.25
"""The share of the cores' time that other work may take while a case is timed. On two cores, one busy process beside a
benchmark that keeps both busy takes a third, and an editor or a browser that waits a few hundredths."""
SAME = ("problem", "precision", "device", "seeds")


def is_swept(case: Mapping[str, Any]) -> bool:
    """Whether a case has another size than the notebook's."""
    return bool(case["width"] != WIDTH or case["batch_size"] != BATCH_SIZE)


def noise_at(document: Mapping[str, Any], entry: Mapping[str, Any]) -> float | None:
    """The noise, a ratio of at least 1. In a sweep nothing is timed twice: there it is that of the notebook's size.

    None where it was measured nowhere.
    """
    known: list[float] = [
        other["noise"] for other in document["cases"]
        if other["noise"] and not is_swept(other["case"])
        and all(other["case"][name] == entry["case"][name] for name in SAME)
    ]  # fmt: skip
    found: float | None = entry["noise"] or next(iter(known), None)
    return found


def is_interval(document: Mapping[str, Any]) -> bool:
    """Whether the rounds are enough for a 95 % interval."""
    return bool(document["rounds"] >= FEWEST)


def brackets(document: Mapping[str, Any]) -> str:
    """What low and high of all figures are, in words."""
    return "the 95 % interval" if is_interval(document) else "smallest to largest"


def others_of(document: Mapping[str, Any]) -> tuple[float, str] | None:
    """The largest share of the cores' time that other work took while a case was timed, and the case.

    None where no case knows it: older results do not, and some systems do not tell.
    """
    known = [(share, entry["case"]["name"]) for entry in document["cases"]
             if isinstance(share := entry.get("others"), (int, float))]  # fmt: skip
    return max(known, default=None)


def other_work(document: Mapping[str, Any]) -> str:
    """What else was running when or after the measuring began, and what that means; empty where next to nothing was."""
    load, cores = document["condition"]["before"]["load"], document["machine"]["cores"]
    told = []
    if load > IDLE * cores:
        told.append(f"a load of {figure(load)} on {cores} cores when this was begun")
    if (most := others_of(document)) and most[0] > BUSY:
        told.append(f"{most[0]:.0%} of the cores' time while {most[1]} was timed")
    return f"other work was running: {', '.join(told)}; times and ratios may be wrong by much" if told else ""
