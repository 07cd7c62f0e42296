"""Gradient descent, with momentum or without: which constant, or which form, explains the other side's step.

Torch's form: a buffer that the gradient is added to, after the momentum has shrunk it (`torch.optim.SGD`).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from parity.judging.hints.evidence import DIGITS, Case, Hint, to_digits, with_digits
from parity.judging.hints.optimizer.taken import Taken, as_a_hint, quotient, rate_in_words, same, solved, taken
from parity.recording import Array, Arrays

BUFFER = "momentum_buffer"
NONE = 1e-9
"""A decay below this share of the expected one is none."""
FITS = 1e-12
"""How near a right formula comes to an array, as a share of its size."""


@dataclass(frozen=True)
class Sgd:
    """Gradient descent with its constants; the momentum is 0 where there is none, or no step shows it yet."""

    rate: float
    decay: float = 0.0
    momentum: float = 0.0
    nesterov: bool = False

    def slope(self, step: Taken) -> Array:
        """The gradient with the decay."""
        return np.asarray(step.gradient + self.decay * step.before)

    def buffer(self, step: Taken) -> Array:
        """What the step leaves in the buffer."""
        return np.asarray(self.momentum * step.memory[BUFFER] + self.slope(step))

    def along(self, step: Taken, memory: Arrays) -> Array:
        """What the parameter goes along, in a step that left this buffer, if there is one."""
        if not memory:
            return self.slope(step)
        return self.slope(step) + self.momentum * memory[BUFFER] if self.nesterov else memory[BUFFER]

    def after(self, step: Taken, memory: Arrays) -> Array:
        """The parameters after that step."""
        return np.asarray(step.before - self.rate * self.along(step, memory))


def of_sgd(case: Case) -> Iterator[Hint]:
    """What one constant, or one other form, explains all of the difference between two steps."""
    for entries in ((), (BUFFER,)):
        for step in taken(case, entries):
            right = fitted(step)
            if right and (hint := next(_otherwise(step, right, case.other), None)):
                yield Hint(as_a_hint(step, hint.words), hint.left)
                return


def fitted(step: Taken) -> Sgd | None:
    """The descent that took the expected step, constants with as few digits as explain it; None where none did."""
    for form in _forms(step):
        (rate,) = solved(step.before - step.expected, form.along(step, step.memory_expected))
        for digits in with_digits(rate):
            if digits == 0:
                continue
            right = replace(form, rate=digits)
            model = right.after(step, step.memory_expected)
            if same(step.apart):
                if np.max(np.abs(model - step.expected)) <= FITS * step.apart.size:
                    return right
            elif step.apart.left(model, 1, step.expected) is not None:
                return right
    return None


def _forms(step: Taken) -> Iterator[Sgd]:
    """Momentum and decay, as the buffer shows them; without one, as the change itself shows them."""
    if not step.memory:
        yield Sgd(0.0)
        rate, decayed = solved(step.before - step.expected, step.gradient, step.before)
        yield from (Sgd(0.0, decay) for decay in with_digits(quotient(decayed, rate)))
        return
    before, after = step.memory[BUFFER], step.memory_expected[BUFFER]
    for decaying in (False, True):
        columns = [*([before] if before.any() else []), *([step.before] if decaying else [])]
        factors = solved(after - step.gradient, *columns) if columns else []
        decay = factors.pop() if decaying else 0.0
        momentum = factors.pop() if factors else 0.0
        if not np.isfinite([momentum, decay]).all():
            continue
        for digits in DIGITS:
            form = Sgd(0.0, to_digits(decay, digits), to_digits(momentum, digits))
            if np.max(np.abs(form.buffer(step) - after)) <= FITS * np.max(np.abs(after)):
                yield form
                yield replace(form, nesterov=True)


def _otherwise(step: Taken, right: Sgd, other: str) -> Iterator[Hint]:
    """The other form, or the one other constant, that explains the buffer and the parameters that were found."""
    if not step.memory or same(step.remembered(BUFFER)):
        if step.memory:
            words = f"{'without' if right.nesterov else 'with'} Nesterov's momentum"
            yield from _told(step, replace(right, nesterov=not right.nesterov), words, 0)
        (rate,) = solved(step.before - step.found, right.along(step, step.memory_found))
        for r in with_digits(rate):
            if r:
                yield from _told(step, replace(right, rate=r), rate_in_words(r, right.rate, other), 1)
        if step.memory:
            return
        (added,) = solved(step.before - step.found - right.rate * step.gradient, right.rate * step.before)
    else:
        momentum, buffer = step.memory[BUFFER], step.memory_found[BUFFER]
        (shrunk,) = solved(buffer - right.slope(step), momentum)
        for m in with_digits(shrunk):
            words = f"with momentum {m:g} where {other} it fits {right.momentum:g}"
            yield from _told(step, replace(right, momentum=m), words, 1)
        (added,) = solved(buffer - right.momentum * momentum - step.gradient, step.before)
    if abs(added) <= NONE * right.decay:
        yield from _told(step, replace(right, decay=0.0), f"without the weight decay of {right.decay:g}", 0)
        return
    for decay in with_digits(added):
        words = f"with weight decay {decay:g} where {other} it fits {right.decay:g}"
        yield from _told(step, replace(right, decay=decay), words, 1)


def _told(step: Taken, wrong: Sgd, words: str, unknowns: int) -> Iterator[Hint]:
    left = step.apart.left(wrong.after(step, step.memory_found), unknowns)
    if left is None or not step.memory or same(step.remembered(BUFFER)):
        yield from () if left is None else [Hint(words, left)]
        return
    also = step.remembered(BUFFER).left(wrong.buffer(step), unknowns)
    if also is not None:
        yield Hint(words, max(left, also))
