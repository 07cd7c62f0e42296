"""How fast the loops are meant to be on MNIST, and how fast a result found them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from benchmarks.case import Case
from benchmarks.figures import Interval
from benchmarks.rows import timed_once

Found = Mapping[str, Any]


class Goal(NamedTuple):
    """What is measured, the worst figure that is good enough, and the one aimed at; None where there is no aim.

    `interval` is the figure's, None where it has none. `by_interval`: the aim is that the interval reaches it.
    """

    what: str
    value: float | None
    enough: float
    aim: float | None
    at_least: bool
    interval: Interval | None = None
    by_interval: bool = False

    @property
    def says(self) -> str:
        """Whether the figure reaches the aim, is enough, or is not; and that it is not certain, where that is so.

        It is not where the interval goes across what the figure is measured by.
        """
        if self.value is None:
            return "not measured"
        if self._reached():
            return "reached" if self.by_interval or not self._crosses(self.aim) else "reached, not certain"
        says = "enough" if self._reaches(self.value, self.enough) else "missed"
        return f"{says}, not certain" if self._crosses(self.enough) else says

    def _reached(self) -> bool:
        assert self.value is not None
        if self.aim is None or not self._reaches(self.value, self.enough):
            return False
        ends = self.interval if self.by_interval else None
        best = self.value if ends is None else ends["high" if self.at_least else "low"]
        return self._reaches(best, self.aim)

    def _crosses(self, wanted: float | None) -> bool:
        if self.interval is None or wanted is None:
            return False
        return self._reaches(self.interval["low"], wanted) != self._reaches(self.interval["high"], wanted)

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
    notebook = [
        ("best JAX loop, times the notebook's speed", _times_notebook(float32, "jax")),
        ("best torch loop, times the notebook's speed", _times_notebook(float32, "torch")),
    ]
    if device == "cpu":
        return [
            _goal(what, found, enough, None, True) for (what, found), enough in zip(notebook, (2.5, 1.8), strict=True)
        ]
    tf32 = _variants(document, Case("mnist", "tf32", device))
    several = _variants(document, Case("mnist", "tf32", device, seeds=1024))
    return [
        *(
            _goal(what, found, enough, aim, True)
            for (what, found), enough, aim in zip(notebook, (70, 40), (150, 100), strict=True)
        ),
        # Of two medians, not round by round: it has no interval.
        Goal("best JAX loop, times the speed of nnx.jit a step", _over_best(float32, "nnx_jit"), 20, 40, True),
        _goal("best step in TF32, us", _best(tf32), 70, 40, False),
        _goal("best step in float32, us", _best(float32), 90, 60, False),
        _goal("a seed's step, 1024 seeds, TF32, us", _best(several), 9, 4, False),
        _libraries(document, device),
    ]


def _goal(what: str, found: Interval | None, enough: float, aim: float | None, at_least: bool) -> Goal:
    return Goal(what, None if found is None else found["median"], enough, aim, at_least, found)


def _libraries(document: Found, device: str) -> Goal:
    """What Flax and Optax cost, round by round. The aim is that the interval holds 1, or lies below it."""
    entry = _entry(document, Case("mnist", device=device))
    named = ("jax whole_run", "jax whole_run_by_hand")
    pairs = [] if entry is None else entry["pairs"]
    ratio = next((pair["ratio"] for pair in pairs if (pair["first"], pair["second"]) == named), None)
    what = "NNX and Optax, times hand-written JAX in the same scan"
    return _goal(what, ratio, 1.05, 1.0, False)._replace(by_interval=True)


def _entry(document: Found, case: Case) -> Found | None:
    return next((entry for entry in document["cases"] if entry["case"]["name"] == case.name), None)


def _variants(document: Found, case: Case) -> list[Found]:
    entry = _entry(document, case)
    return [] if entry is None else timed_once(entry)


def _median(found: Interval) -> float:
    return found["median"]


def _best(variants: list[Found], framework: str | None = None) -> Interval | None:
    """The fastest step, in microseconds; of both frameworks or of one."""
    steps: list[Interval] = [found["step_us"] for found in variants if framework in (None, found["framework"])]
    return min(steps, key=_median, default=None)


def _over_best(variants: list[Found], name: str) -> float | None:
    """The step of a variant of JAX, over JAX's fastest."""
    named = _best([found for found in variants if (found["framework"], found["name"]) == ("jax", name)])
    best = _best(variants, "jax")
    return None if named is None or best is None else named["median"] / best["median"]


def _times_notebook(variants: list[Found], framework: str) -> Interval | None:
    times: list[Interval] = [
        found["times_notebook"] for found in variants if found["framework"] == framework and found["times_notebook"]
    ]
    return max(times, key=_median, default=None)
