"""The noise of a case in a result: how far a variant is from itself when it is timed in two processes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from benchmarks.case import BATCH_SIZE, WIDTH

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
