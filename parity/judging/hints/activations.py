"""Other functions than expected between what came out of one layer and what goes into the next."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache
from typing import NamedTuple

import numpy as np

from parity.judging.hints.evidence import Case, Hint
from parity.recording import PLACE, Array

EARLIER = 3
"""So many layers' outputs before the difference are tried, the nearest first."""
TRIED = 64
"""Rows that a function is tried on before it is held against all of them."""


class Function(NamedTuple):
    """What may stand between two layers; `of` takes float64 and works along the last axis, or on single numbers."""

    name: str
    of: Callable[[Array], Array]


def _gelu_tanh(x: Array) -> Array:
    return np.asarray(0.5 * x * (1 + np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x**3))))


@cache
def functions() -> tuple[Function, ...]:
    """Each with the formula of torch's layer of that name; sigmoid GELU is from D. Hendrycks and K. Gimpel, 2016."""
    # Takes a while to import, and is wanted only where something differs.
    from scipy import special  # type: ignore[import-untyped]

    expit = special.expit
    return (
        Function("no activation", lambda x: x),
        Function("ReLU", lambda x: np.maximum(x, 0)),
        Function("exact GELU", lambda x: 0.5 * x * (1 + special.erf(x / np.sqrt(2)))),
        Function("tanh GELU", _gelu_tanh),
        Function("sigmoid GELU", lambda x: x * expit(1.702 * x)),
        Function("SiLU", lambda x: x * expit(x)),
        Function("sigmoid", expit),
        Function("tanh", np.tanh),
        Function("leaky ReLU of slope 0.01", lambda x: np.where(x > 0, x, 0.01 * x)),
        Function("leaky ReLU of slope 0.2", lambda x: np.where(x > 0, x, 0.2 * x)),
        Function("ReLU6", lambda x: np.clip(x, 0, 6)),
        Function("ELU", lambda x: np.where(x > 0, x, np.expm1(np.minimum(x, 0)))),
        Function("softplus", lambda x: np.logaddexp(x, 0)),
        Function("softmax", lambda x: special.softmax(x, axis=-1)),
        Function("log-softmax", lambda x: special.log_softmax(x, axis=-1)),
    )


def of_a_segment(case: Case) -> Iterator[Hint]:
    """One function explains what was expected, and another one what was found, of an earlier layer's output."""
    if case.key.stage != "forward" or case.apart.here.shape != case.apart.there.shape or not case.apart.here.ndim:
        return
    for name in _earlier(case):
        before, own = (
            side.of("forward", case.key.step)[name].astype(np.float64) for side in (case.expected, case.found)
        )
        expected = _fitting(case, before, case.apart.here)
        found = _fitting(case, own, case.apart.there)
        if expected and found and expected[0] != found[0]:
            words = f"as with {found[0]} after {name} where {case.other} it fits {expected[0]}"
            yield Hint(words, max(expected[1], found[1]))
            return


def _earlier(case: Case) -> list[str]:
    """Outputs of layers and taps on both sides that lie before the difference and have its shape, the nearest first."""
    expected, found = (side.of("forward", case.key.step) for side in (case.expected, case.found))
    names = list(expected)
    before = names[: names.index(case.key.tensor)]
    like = [
        name for name in reversed(before)
        if (place := PLACE.match(name)) and place["what"] != "input" and name in found
        and expected[name].shape == found[name].shape == case.apart.here.shape
    ]  # fmt: skip
    return like[:EARLIER]


def _fitting(case: Case, before: Array, target: Array) -> tuple[str, float] | None:
    rows = max(1, min(TRIED, 4096 // max(1, target[0].size)))
    for function in functions():
        model = function.of(before[:rows])
        if case.apart.unlike(model, target[:rows]):
            continue
        if (left := case.apart.left(function.of(before), target=target)) is not None:
            return function.name, left
    return None
