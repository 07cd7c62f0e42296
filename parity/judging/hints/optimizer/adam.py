"""Adam and AdamW: which of their constants, or of their forms, explains the step that the other side took.

Source: D. Kingma and J. Ba, Adam, ICLR 2015; I. Loshchilov and F. Hutter, Decoupled Weight Decay Regularization, ICLR
2019; T. Dozat, Incorporating Nesterov Momentum into Adam, ICLR 2016.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import zip_longest

import numpy as np

from parity.judging.hints.evidence import DIGITS, Case, Hint, to_digits, with_digits
from parity.judging.hints.optimizer.taken import Taken, as_a_hint, quotient, rate_in_words, same, solved, taken
from parity.judging.hints.same_shape import ratio
from parity.recording import Array, Arrays

MEAN, SQUARE = "exp_avg", "exp_avg_sq"
GUESSED_EPSILON = 1e-8
"""Where the epsilon is not known yet, small gradients count as if it were this."""
FITS = 1e-12
"""How near a moment's own formula comes to it, as a share of its size."""


@dataclass(frozen=True)
class Adam:
    """Adam with its constants. `coupled` decay is added to the gradient, the other taken off the parameter."""

    rate: float
    beta1: float
    beta2: float
    epsilon: float
    decay: float = 0.0
    coupled: bool = False
    corrected: bool = True
    nesterov: bool = False
    inside: float = 0.0
    """An epsilon that is added to the second moment, under the root."""

    def root(self, memory: Arrays, count: int) -> Array:
        """The root that the mean is divided by, without the epsilon outside of it."""
        square = memory[SQUARE] / (1 - self.beta2**count if self.corrected else 1.0)
        return np.sqrt(np.maximum(square, 0) + self.inside)

    def mean(self, step: Taken, memory: Arrays) -> Array:
        """The mean of the gradient that the parameter goes along."""
        if not self.nesterov:
            return np.asarray(memory[MEAN] / (1 - self.beta1**step.count if self.corrected else 1.0))
        # Optax's nesterov=True: the mean as it will be a step later, each part with its own correction.
        following = memory[MEAN] / (1 - self.beta1 ** (step.count + 1))
        return np.asarray(self.beta1 * following + (1 - self.beta1) * step.gradient / (1 - self.beta1**step.count))

    def after(self, step: Taken, memory: Arrays) -> Array:
        """The parameters after a step that left these moments."""
        divisor = self.root(memory, step.count) + self.epsilon
        along = self.mean(step, memory)
        moved = np.divide(along, divisor, out=np.zeros_like(along), where=divisor > 0)
        decayed = 0.0 if self.coupled else self.rate * self.decay
        return np.asarray(step.before * (1 - decayed) - self.rate * moved)

    def slope(self, step: Taken) -> Array:
        """The gradient, with the decay where that is coupled."""
        return np.asarray(step.gradient + (self.decay if self.coupled else 0.0) * step.before)


def of_adam(case: Case) -> Iterator[Hint]:
    """What one constant, or one other form, explains all of the difference between two steps of Adam."""
    for step in taken(case, (MEAN, SQUARE)):
        right = fitted(step)
        if right is None:
            continue
        found = list(_of_moments(step, right, case.other))
        if same(step.remembered(MEAN)) and same(step.remembered(SQUARE)):
            found = list(_of_step(step, right, case.other))
        if found:
            also = f", or {found[1].words}" if len(found) > 1 else ""
            yield Hint(as_a_hint(step, f"{found[0].words}{also}"), found[0].left)
            return


def fitted(step: Taken) -> Adam | None:
    """The Adam that took the expected step, constants with as few digits as explain it; None where none did.

    One step of one form is nearly a step of another form with odd constants: those with few digits are tried first, in
    every form.
    """
    for right in _moments(step):
        forms = (right, replace(right, corrected=False), replace(right, nesterov=True))
        decaying = (False,) if right.coupled else (False, True)
        tried = [list(_constants(step, form, decaying=decays)) for form in forms for decays in decaying]
        for alike in zip_longest(*tried):
            for form in alike:
                if form is not None and _fits(step, form):
                    return form
    return None


def _fits(step: Taken, form: Adam) -> bool:
    if form.rate == 0:
        return False
    model, apart = form.after(step, step.memory_expected), step.apart
    if same(apart):
        return bool(np.max(np.abs(model - step.expected)) <= max(apart.rounding, FITS * apart.size))
    return apart.left(model, 2 + (form.decay != 0), step.expected) is not None


def _moments(step: Taken) -> Iterator[Adam]:
    """The betas, and a decay that is added to the gradient, as the moments show them."""
    mean, square = step.memory[MEAN], step.memory[SQUARE]
    for coupled in (False, True):
        columns = [step.gradient, *([step.before] if coupled else []), *([mean] if mean.any() else [])]
        share, *others = solved(step.memory_expected[MEAN], *columns)
        decay = quotient(others[0], share) if coupled else 0.0
        form = Adam(0.0, 1 - share, 0.0, 0.0, decay, coupled)
        beta2 = 1 - ratio(form.slope(step) ** 2 - square, step.memory_expected[SQUARE] - square)
        if not all(0 <= beta < 1 and abs(beta - round(beta, 5)) < 1e-7 for beta in (form.beta1, beta2)):
            continue
        yield replace(form, beta1=round(form.beta1, 5), beta2=round(beta2, 5), decay=to_digits(decay, DIGITS[-1]))


def _constants(step: Taken, form: Adam, *, decaying: bool) -> Iterator[Adam]:
    """Learning rate, epsilon and a decay of the parameter, as the expected step shows them."""
    change, root = step.before - step.expected, form.root(step.memory_expected, step.count)
    along = form.mean(step, step.memory_expected)
    columns = [along, -change, *([step.before * root, step.before] if decaying else [])]
    rate, epsilon, *decayed = solved(change * root, *columns, weight=1 / (root + GUESSED_EPSILON))
    decay = quotient(decayed[0], rate) if decaying else form.decay
    if np.isfinite([rate, epsilon, decay]).all():
        for digits in DIGITS:
            r, e, d = (to_digits(number, digits) for number in (rate, epsilon, decay))
            yield replace(form, rate=r, epsilon=max(e, 0.0), decay=d)


def _told(step: Taken, wrong: Adam, words: str, unknowns: int = 0) -> Iterator[Hint]:
    if (left := step.apart.left(wrong.after(step, step.memory_found), unknowns)) is not None:
        yield Hint(words, left)


def _of_step(step: Taken, right: Adam, other: str) -> Iterator[Hint]:
    """Moments are the same, and the parameter went elsewhere: in another form, or with one other constant."""
    if (left := step.apart.left(right.after(step, step.memory_found))) is not None:
        yield Hint("the same rule has it of moments that differ by rounding alone", left)
        return
    # Most forms are also what some odd constant would give.
    if forms := list(_other_forms(step, right, other)):
        yield from forms
        return
    change, root = step.before - step.found, right.root(step.memory_found, step.count)
    along, decayed = right.mean(step, step.memory_found), 0.0 if right.coupled else right.rate * right.decay
    (factor,) = solved(change, step.before - right.after(step, step.memory_found))
    for rate in with_digits(factor * right.rate):
        words = rate_in_words(rate, right.rate, other)
        if rate and (found := list(_told(step, replace(right, rate=rate), words, 1))):
            yield from found
            break
    yield from _other_epsilon(step, right, other, change - decayed * step.before, along, root)
    if not right.coupled and right.rate:
        undecayed = replace(right, decay=0.0).after(step, step.memory_found)
        (factor,) = solved(undecayed - step.found, right.rate * step.before)
        words = f"with weight decay {{}} where {other} it fits {right.decay:g}"
        yield from _first(step, lambda decay: replace(right, decay=decay), factor, words)


def _first(step: Taken, wrong: Callable[[float], Adam], number: float, words: str) -> Iterator[Hint]:
    """The constant with the fewest digits that explains the step."""
    for value in with_digits(number):
        if found := list(_told(step, wrong(value), words.format(f"{value:g}"), 1)):
            yield from found
            return


def _other_forms(step: Taken, right: Adam, other: str) -> Iterator[Hint]:
    """Nothing is to be solved: the same constants in another form."""
    without = "without" if right.corrected else "with"
    yield from _told(step, replace(right, corrected=not right.corrected), f"{without} bias correction")
    nesterov = "without" if right.nesterov else "with"
    yield from _told(step, replace(right, nesterov=not right.nesterov), f"{nesterov} Nesterov's momentum")
    before = right.epsilon / (1 - right.beta2**step.count) ** 0.5
    words = f"with epsilon {right.epsilon:g} added before the bias correction"
    yield from _told(step, replace(right, epsilon=before), words)
    inside = replace(right, epsilon=0.0, inside=right.epsilon)
    yield from _told(step, inside, f"with epsilon {right.epsilon:g} inside the root where {other} it is outside")
    if right.decay and not right.coupled:
        yield from _told(step, replace(right, decay=0.0), f"without the weight decay of {right.decay:g}")
        unscaled = replace(right, decay=right.decay / right.rate)
        yield from _told(step, unscaled, f"with weight decay {right.decay:g} not multiplied by the learning rate")


def _other_epsilon(step: Taken, right: Adam, other: str, change: Array, along: Array, root: Array) -> Iterator[Hint]:
    weight = 1 / (root + right.epsilon + GUESSED_EPSILON)
    (outside,) = solved(right.rate * along - change * root, change, weight=weight)
    words = f"with epsilon {{}} where {other} it fits {right.epsilon:g}"
    yield from _first(step, lambda epsilon: replace(right, epsilon=epsilon), outside, words)
    (inside,) = solved((right.rate * along) ** 2 - (change * root) ** 2, change**2, weight=weight**2)
    if inside > 0:
        words = f"with epsilon {{}} inside the root where {other} it fits {right.epsilon:g} outside"
        yield from _first(step, lambda epsilon: replace(right, epsilon=0.0, inside=epsilon), inside, words)


def _of_moments(step: Taken, right: Adam, other: str) -> Iterator[Hint]:
    """A moment took up something else, or another share of it."""
    mean, square, slope = step.memory[MEAN], step.memory[SQUARE], right.slope(step)
    tried: list[tuple[Adam, str]] = []
    if not same(step.remembered(MEAN)):
        beta = 1 - ratio(slope - mean, step.memory_found[MEAN] - mean)
        tried += [
            (replace(right, beta1=b), f"with beta1 {b:g} where {other} it fits {right.beta1:g}")
            for b in with_digits(beta)
        ]
        (added,) = solved(
            step.memory_found[MEAN] - right.beta1 * mean - (1 - right.beta1) * step.gradient,
            (1 - right.beta1) * step.before,
        )
        for decay in with_digits(added):
            beside = f"{right.decay:g} {'coupled' if right.coupled else 'decoupled'}" if right.decay else "none"
            words = f"with weight decay {decay:g} coupled, in the gradient, where {other} it fits {beside}"
            if right.coupled and abs(decay) < 1e-12:
                words = f"without weight decay in the gradient, where {other} it fits {right.decay:g}"
            tried.append((replace(right, decay=decay, coupled=True), words))
        if right.coupled:
            tried.append(
                (
                    replace(right, coupled=False),
                    f"with weight decay {right.decay:g} decoupled, where {other} it is coupled",
                )
            )
    elif not same(step.remembered(SQUARE)):
        beta = 1 - ratio(slope**2 - square, step.memory_found[SQUARE] - square)
        tried += [
            (replace(right, beta2=b), f"with beta2 {b:g} where {other} it fits {right.beta2:g}")
            for b in with_digits(beta)
        ]
    for wrong, words in tried:
        if (left := _all_explained(step, wrong)) is not None:
            yield Hint(words, left)
            return


def _all_explained(step: Taken, wrong: Adam) -> float | None:
    """The most that is left of any of the three differences, where all three are explained."""
    slope, worst = wrong.slope(step), 0.0
    models = (
        (step.remembered(MEAN), wrong.beta1 * step.memory[MEAN] + (1 - wrong.beta1) * slope),
        (step.remembered(SQUARE), wrong.beta2 * step.memory[SQUARE] + (1 - wrong.beta2) * slope**2),
        (step.apart, wrong.after(step, step.memory_found)),
    )
    for apart, model in models:
        left = apart.left(model, 1)
        if left is None and not (same(apart) and np.max(np.abs(model - apart.there)) <= 1e-9 * apart.size):
            return None
        worst = max(worst, left or 0.0)
    return worst
