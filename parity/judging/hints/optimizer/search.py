"""Which option of torch's optimizer the JAX side's has another value of, found by taking the step again with others."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from functools import cache, partial
from typing import Any, NamedTuple

import numpy as np

from parity.judging.distance.difference import largest
from parity.judging.hints.constants import RATE_IN_FLOAT32, is_of_float32
from parity.judging.hints.evidence import AT_MOST, BLURRED, DIGITS, UNEXPLAINED, Apart, Hint, to_digits
from parity.judging.hints.optimizer.guesses import Otherwise, otherwise
from parity.judging.hints.optimizer.ran import LONGEST, Guess, Ran
from parity.recording import Array, Arrays
from parity.verdict import EPS

ITERATIONS = 12
"""Of the secant method at most."""
BEFORE, AFTER = 3, 9
"""So many steps before and after the one that is explained have to bear it out, and three others."""
MANY = (*DIGITS, 12)
"""A value is taken with as few digits as still explain everything."""
NEAR = 1e-14
"""Two values of the secant method that are as near as this are one."""
PLAIN = 3
"""A value of so many digits is one that somebody wrote; one that needs more is told where there is no other."""
IN_FORM = 1e-4
"""A form may leave this share of a difference: it has no value to fit, and RAdam's factor is a difference of lengths,
which rounding reaches sooner."""
TOLD = 2
"""So many explanations that no step tells apart are told."""


class Explained(NamedTuple):
    """An explanation in words, the share of the difference that it leaves, and how many digits its value needs."""

    words: str
    left: float
    digits: int = 0


class Fits(NamedTuple):
    """A value with which everything is explained, the share that it leaves, and the digits that it needs."""

    value: Any
    left: float
    digits: int = 0


class Seen(NamedTuple):
    """A step of the JAX side's: what it has after it, and what torch's optimizer would have."""

    number: int
    found: Arrays
    right: Arrays

    @property
    def apart(self) -> dict[str, Apart]:
        """What both have, where it differs by more than rounding can blur."""
        both = {name: Apart(self.right[name], self.found[name], EPS["float64"]) for name in self.right
                if name in self.found}  # fmt: skip
        return {name: apart for name, apart in both.items() if apart.rounding <= AT_MOST * apart.far}


class Search:
    """What is asked of the steps of a JAX side, from the first on in which a number differs.

    Args:
        ran: what the JAX side did.
        at: that step.
        steps: how many steps there are.
    """

    def __init__(self, ran: Ran, at: Seen, steps: int) -> None:
        self.ran, self.at = ran, at
        others = {0, *range(max(0, at.number - BEFORE), min(steps, at.number + AFTER + 1)), steps // 2, steps - 1}
        self.others = sorted(others - {at.number})
        self.seen = cache(lambda number: seen(ran, number))

    def explanations(self) -> Iterator[Explained]:
        """Everything that explains the step, and the others too."""
        ran, at = self.ran, self.at
        groups = sorted({int(name.rpartition(".")[2]) for name in at.apart})
        slopes = ran.gradients(at.number, None)
        sizes = max(map(largest, slopes.values())), ran.norm(at.number, 2.0)
        for one in otherwise(ran.right, groups, *sizes):
            if (fits := self.fitting(one)) is not None:
                yield Explained(words(one, fits.value), fits.left, fits.digits)
        yield from self.forms()

    def fitting(self, one: Otherwise) -> Fits | None:
        """The value with which an optimizer with one unknown explains everything; None where there is none."""
        tried: list[tuple[float, Any, Array]] = []
        for value in one.starts:
            if (fits := self.fits(one, value)) is not None:
                return fits
            if one.solved and np.isfinite(off := self.off(one.made(value))).all():
                tried.append((float(off @ off), value, off))
        tried.sort(key=lambda known: known[0])
        if len(tried) > 1 and np.isfinite(value := self.secant(one, tried[0][1:], tried[1][1:])):
            for digits in MANY:
                if (fits := self.fits(one, to_digits(value, digits))) is not None:
                    return fits._replace(digits=digits)
        return None

    def secant(self, one: Otherwise, near: tuple[float, Array], far: tuple[float, Array]) -> float:
        """The value at which least is left, from the two nearest that are known."""
        (x, off), (before, was) = near, far
        for _ in range(ITERATIONS):
            slope = (off - was) / (x - before)
            steep = float(slope @ slope)
            if not (np.isfinite(steep) and steep > 0):
                break
            before, was, x = x, off, x - float(slope @ off) / steep
            if not abs(x - before) > NEAR * abs(x):
                break
            off = self.off(one.made(x))
        return x

    def off(self, guess: Guess) -> Array:
        """How far a guess is from what was found, each array in its size."""
        found, model = self.at.found, self.ran.modelled(guess, self.at.number)
        names = [name for name in self.at.right if name in found]
        parts = [
            (model[name] - found[name]) / (largest(found[name]) or 1.0)
            if name in model else np.full(found[name].shape, np.nan) for name in names
        ]  # fmt: skip
        return np.concatenate([*parts, np.zeros(0)])

    def fits(self, one: Otherwise, value: Any) -> Fits | None:
        """Whether this value explains the step and is borne out by the others, but for those that are too far on."""
        guess = one.made(value)
        near = [n for n in self.others if n <= LONGEST or self.ran.recorded(guess.optimizer, n)]
        left = self.left(lambda number: self.ran.modelled(guess, number), near, int(one.solved))
        return None if left is None else Fits(value, left)

    def left(
        self, model_of: Callable[[int], Arrays], others: Iterable[int], unknowns: int = 0, share: float = UNEXPLAINED
    ) -> float | None:
        """The share of the difference that models of the steps leave; None where they do not explain all of them.

        Args:
            model_of: what a model has after a step.
            others: steps that have to bear it out.
            unknowns: how many values were chosen so that it fits.
            share: how much of each difference it may leave.
        """
        at, model = self.at, model_of(self.at.number)
        apart = {name: both for name, both in at.apart.items() if name in model}
        left = max((largest(model[name] - both.there) / both.far for name, both in apart.items()), default=np.inf)
        if not left <= AT_MOST or contradicted(at, model, share):
            return None
        # A value that one number tells may be any; further steps are further numbers.
        told, needed = sum(both.told_by for both in apart.values()), 1 + unknowns
        for number in others:
            if contradicted(there := self.seen(number), model_of(number), share):
                return None
            told += bool(there.apart)
        return left if told >= (needed if left <= UNEXPLAINED else BLURRED * needed) else None

    def forms(self) -> Iterator[Explained]:
        """The forms of Optax that are taken for torch's."""
        ran, right = self.ran, self.ran.right.optimizer
        near = [number for number in self.others if number <= LONGEST]
        for form in ran.optax.forms(right.kind, right.groups[0].options) if self.at.number <= LONGEST else ():
            left = self.left(partial(ran.in_form, form), near, share=IN_FORM)
            if left is not None:
                yield Explained(f"{right.kind}: {form.words} on the jax side, not on the torch side", left)

    def rate(self) -> Iterator[Explained]:
        """Another learning rate in this step alone."""
        ran, number = self.ran, self.at.number
        read = ran.right.optimizer
        rates = [ran.optax.rate(read, group.options, number) for group in read.groups]

        def made(factor: float) -> Guess:
            both = zip(read.groups, rates, strict=True)
            groups = tuple(group._replace(options={**group.options, "lr": factor * rate}) for group, rate in both)
            return ran.right._replace(optimizer=replace(read, groups=groups, schedule=None))

        one = Otherwise("", made, (0.5, 2.0), 1.0)
        known = [(value, self.off(made(value))) for value in one.starts]
        factor = self.secant(one, known[0], known[1])
        left = self.left(lambda number: ran.modelled(made(factor), number), (), 1) if np.isfinite(factor) else None
        if left is not None:
            if is_of_float32(factor):
                yield Explained(f"{read.kind}: step {number} on the jax side is {RATE_IN_FLOAT32}", left)
                return
            told = f"lr {factor * rates[0]:.6g} in step {number} on the jax side, {rates[0]:.6g} on the torch side"
            yield Explained(f"{read.kind}: {told}: another schedule", left)


def of_optimizer(ran: Ran, steps: int) -> Hint | None:
    """The option, or options that the steps do not tell apart; None where none explains them.

    Args:
        ran: what the JAX side did.
        steps: how many steps there are.
    """
    with np.errstate(all="ignore"):
        numbers = range(ran.same, min(steps, ran.same + LONGEST))
        at = next((here for here in (seen(ran, number) for number in numbers) if here.apart), None)
        if at is None:
            return None
        search = Search(ran, at, steps)
        # One that remembers something else has other steps than this one, whatever rate explains this one.
        found = simplest(search.explanations()) or (list(search.rate()) if at.found.keys() == at.right.keys() else [])
    if not found:
        return None
    return Hint(" or ".join(one.words for one in found), max(one.left for one in found))


def simplest(found: Iterable[Explained]) -> list[Explained]:
    """The explanations to be told: those whose values have the fewest digits, where some have few."""
    ordered = sorted(found, key=lambda one: one.digits)
    plain = [one for one in ordered if one.digits <= PLAIN]
    return (plain or ordered)[:TOLD]


def seen(ran: Ran, number: int) -> Seen:
    """A step of the JAX side's."""
    return Seen(number, ran.after(number), ran.modelled(ran.right, number))


def contradicted(at: Seen, model: Arrays, share: float) -> bool:
    """Whether something in a step is further from a model of it than this share of a difference, and than rounding."""
    for name in model.keys() & at.found.keys():
        apart = Apart(at.right.get(name, model[name]), at.found[name], EPS["float64"])
        if not largest(model[name] - apart.there) <= max(share * apart.far, apart.rounding):
            return True
    return False


def words(one: Otherwise, value: Any) -> str:
    """What is otherwise, with both values."""
    if one.said:
        return one.said
    if one.what.endswith(": lr") and value / one.was > 0:
        beside = f"{value / one.was:.6g} times as large as {one.was:g} on the torch side"
        return f"{one.what} {value:g} on the jax side, {beside}"
    return f"{one.what} {_shown(value)} on the jax side, {_shown(one.was)} on the torch side"


def _shown(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else "none" if value is None else str(value)
