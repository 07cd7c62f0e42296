"""How fast the loops are meant to be on MNIST, and how fast a result found them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from benchmarks.case import Case
from benchmarks.rows import timed_once

Found = Mapping[str, Any]


class Goal(NamedTuple):
    """What is measured, the worst figure that is good enough, and the one aimed at; None where there is no aim.

    `end` is the end of the figure's interval, where the aim is that the interval reaches it.
    """

    what: str
    value: float | None
    enough: float
    aim: float | None
    at_least: bool
    end: float | None = None

    @property
    def says(self) -> str:
        """Whether the figure reaches the aim, is enough, or is not."""
        if self.value is None:
            return "not measured"
        if not self._reaches(self.value, self.enough):
            return "missed"
        reached = self.aim is not None and self._reaches(self.value if self.end is None else self.end, self.aim)
        return "reached" if reached else "enough"

    def _reaches(self, found: float, wanted: float) -> bool:
        return found >= wanted if self.at_least else found <= wanted


def goals(document: Found) -> list[Goal]:
    """The goals of the device that the result is of; none where it has not all variants of MNIST in 100 steps."""
    device = document["request"]["device"]
    if document["request"]["quick"] or document["request"]["variants"]:
        return []
    float32 = _variants(document, Case("mnist", device=device))
    if not float32:
        return []
    jax, torch = (_times_notebook(float32, framework) for framework in ("jax", "torch"))
    if device == "cpu":
        return [
            Goal("best JAX loop, times the notebook's speed", jax, 2.5, None, True),
            Goal("best torch loop, times the notebook's speed", torch, 1.8, None, True),
        ]
    tf32 = _variants(document, Case("mnist", "tf32", device))
    several = _variants(document, Case("mnist", "tf32", device, seeds=1024))
    return [
        Goal("best JAX loop, times the notebook's speed", jax, 70, 150, True),
        Goal("best torch loop, times the notebook's speed", torch, 40, 100, True),
        Goal(
            "best JAX loop, times the speed of nnx.jit a step",
            _over(float32, "nnx_jit", _best(float32, "jax")), 20, 40, True,
        ),
        Goal("best step in TF32, us", _best(tf32), 70, 40, False),
        Goal("best step in float32, us", _best(float32), 90, 60, False),
        Goal("a seed's step, 1024 seeds, TF32, us", _best(several), 9, 4, False),
        _libraries(document, device),
    ]  # fmt: skip


def _libraries(document: Found, device: str) -> Goal:
    """What Flax and Optax cost, round by round. The aim is that the interval holds 1, or lies below it."""
    entry = _entry(document, Case("mnist", device=device))
    named = ("jax whole_run", "jax whole_run_by_hand")
    pairs = [] if entry is None else entry["pairs"]
    ratio = next((pair["ratio"] for pair in pairs if (pair["first"], pair["second"]) == named), None)
    what = "NNX and Optax, times hand-written JAX in the same scan"
    median, low = (ratio["median"], ratio["low"]) if ratio else (None, None)
    return Goal(what, median, 1.05, 1.0, False, low)


def _entry(document: Found, case: Case) -> Found | None:
    return next((entry for entry in document["cases"] if entry["case"]["name"] == case.name), None)


def _variants(document: Found, case: Case) -> list[Found]:
    entry = _entry(document, case)
    return [] if entry is None else timed_once(entry)


def _best(variants: list[Found], framework: str | None = None) -> float | None:
    """The fastest step, in microseconds; of both frameworks or of one."""
    steps = [found["step_us"]["median"] for found in variants if framework in (None, found["framework"])]
    return min(steps, default=None)


def _step(variants: list[Found], name: str) -> float | None:
    """The step of a variant of JAX."""
    named = [found for found in variants if (found["framework"], found["name"]) == ("jax", name)]
    return _best(named)


def _over(variants: list[Found], name: str, other: float | None) -> float | None:
    """The step of a variant of JAX, over another."""
    step = _step(variants, name)
    return None if step is None or other is None else step / other


def _times_notebook(variants: list[Found], framework: str) -> float | None:
    times = [
        found["times_notebook"]["median"]
        for found in variants if found["framework"] == framework and found["times_notebook"]
    ]  # fmt: skip
    return max(times, default=None)
