"""How well an explanation fits, and whether there is enough to tell it by.

An explanation is an array that one side would have if it were true. What counts is how much of the difference it leaves
unexplained: a share of the difference, not of the array, which any small change would leave nearly as it is.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np

from parity.judging.distance.difference import largest
from parity.judging.hints.constants import Run
from parity.recording import Array, Framework, Key, Recording, State
from parity.verdict import EPS

UNEXPLAINED = 1e-6
"""An explanation may leave this share of a difference unexplained."""
ROUNDING = 16
"""Rounding may leave so many eps of the size of an array unexplained, whatever that is of the difference."""
AT_MOST = 2e-2
"""Where rounding might leave more than this share of a difference, nothing is told of it."""
BLURRED = 16
"""A share of more than `UNEXPLAINED`, which rounding blurs, asks for so many times as many numbers that bear it out."""
DIGITS = (2, 3, 6)
"""A constant is taken with as few digits as still explain everything."""
FEW = 6
"""So many numbers along each axis show most explanations to be none."""
SAMPLE = 4096
"""As many numbers as are counted to know whether there are enough different ones."""


class Hint(NamedTuple):
    """A phrase for what a difference looks like, and the share of it that this leaves unexplained.

    None where the phrase itself is all the evidence.
    """

    words: str
    left: float | None

    def __str__(self) -> str:
        if self.left is None:
            return self.words
        return f"{self.words} (explains it {'exactly' if self.left == 0 else f'to {self.left:.0e}'})"


@dataclass(frozen=True)
class Apart:
    """Two arrays of one name that differ, both in float64: what was expected `here`, and what was found `there`.

    `eps` is that of the dtype that the found array was computed in.
    """

    here: Array
    there: Array
    eps: float

    @classmethod
    def of(cls, here: Array, there: Array) -> Apart:
        """Two floating arrays as they were recorded."""
        eps = max(EPS.get(here.dtype.name, 0.0), EPS.get(there.dtype.name, 0.0))
        return cls(here.astype(np.float64, copy=False), there.astype(np.float64, copy=False), eps)

    @cached_property
    def finite(self) -> bool:
        """Whether all numbers are finite, without which nothing can be told."""
        return bool(np.isfinite(self.here).all() and np.isfinite(self.there).all())

    @cached_property
    def size(self) -> float:
        """The largest absolute value of both."""
        return max(largest(self.here), largest(self.there))

    @cached_property
    def change(self) -> Array:
        """What was found less what was expected. The shapes are equal."""
        return self.there - self.here

    @cached_property
    def far(self) -> float:
        """How far they are apart; where their shapes differ, their size."""
        return largest(self.change) if self.here.shape == self.there.shape else self.size

    @cached_property
    def rounding(self) -> float:
        """What rounding may leave unexplained, in the arrays' own units."""
        return ROUNDING * self.eps * self.size

    @cached_property
    def told_by(self) -> int:
        """How many different numbers, of those that differ, there are to tell an explanation by; few are counted."""
        here = self.here
        if here.shape == self.there.shape:
            here = np.stack([here, self.there], -1)[np.abs(self.change) > self.rounding]
        else:
            here = here.reshape(-1, 1)
        return len(np.unique(here[:: max(1, len(here) // SAMPLE)], axis=0))

    def left(self, model: Array, unknowns: int = 0, target: Array | None = None) -> float | None:
        """The share of the difference that an explanation of what was found leaves; None where it is none.

        Args:
            model: what would have been found if the explanation were right.
            unknowns: how many constants were chosen so that it fits.
            target: what is explained instead of what was found: what was expected.
        """
        target = self.there if target is None else target
        if not (self.finite and self.far > 0 and model.shape == target.shape) or self.unlike(model, target):
            return None
        share = largest(model - target) / self.far
        allowed = self.within / self.far
        if not share <= allowed <= AT_MOST:
            return None
        # A share of a millionth is no chance.
        needed = 1 + unknowns if share <= UNEXPLAINED else BLURRED * (1 + unknowns)
        return share if self.told_by >= needed else None

    @cached_property
    def within(self) -> float:
        """How far from each other an explanation and what it explains may be, in the arrays' own units."""
        return max(UNEXPLAINED * self.far, self.rounding)

    def unlike(self, model: Array, target: Array) -> bool:
        """Whether a few numbers, evenly spread, show already that one does not explain the other."""
        few = tuple(slice(None, None, max(1, size // FEW)) for size in model.shape)
        return largest(model[few] - target[few]) > self.within

    def holds_the_same(self) -> bool:
        """Whether both arrays may hold the same numbers in whatever order, by their sums."""
        return bool(abs(np.sum(self.here) - np.sum(self.there)) <= self.here.size * self.within)


@dataclass(frozen=True)
class Case:
    """A difference, and the recordings that it was found in."""

    key: Key
    expected: Recording
    found: Recording
    side: Framework
    apart: Apart

    @property
    def before(self) -> State:
        """Where the expected run stood before the step; nothing where that was not kept, as in a long golden."""
        step = self.key.step
        trained = "trajectory" in self.expected.stages and step > 0
        if trained and not self.expected.of("init", 0).keys() <= self.expected.of("trajectory", step - 1).keys():
            return State({}, {})
        return self.expected.state_before(step)

    @property
    def run(self) -> Run:
        """What of the run has constants."""
        output = self.expected.of("forward", self.key.step).get("output")
        # What dropout scales shows before the loss, and in gradients: a loss is no sum of kept numbers.
        dropout = self.key.stage in ("forward", "backward")
        return Run(() if output is None else output.shape, self.key.tensor == "loss", dropout)

    @property
    def other(self) -> str:
        """Where the expected array comes from, in words."""
        dtypes = self.expected.provenance.dtype, self.found.provenance.dtype
        framework = self.expected.provenance.framework
        return f"on the {framework} side" if framework != self.side and dtypes[0] == dtypes[1] else "in the judge"


def to_digits(number: float, digits: int) -> float:
    """A constant as a person wrote it: to so many digits."""
    return float(f"{number:.{digits}g}")


def with_digits(number: float) -> Iterator[float]:
    """A constant with few digits, then with more; nothing where it is no number."""
    if np.isfinite(number):
        yield from dict.fromkeys(to_digits(number, digits) for digits in DIGITS)
