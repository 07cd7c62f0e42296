"""Running statistics of a normalising layer: which variance they took up, and how much of it.

That share of the batch is the momentum, as torch counts it.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from parity.judging.hints.evidence import Case, Hint, with_digits
from parity.judging.hints.same_shape import ratio
from parity.recording import Array


def of_running_statistics(case: Case) -> Iterator[Hint]:
    """What a running mean or variance took up of the layer's recorded input, on both sides."""
    layer, _, own = case.key.tensor.rpartition(".")
    if not case.key.after_update or own not in ("running_mean", "running_var"):
        return
    given = case.expected.of("forward", case.key.step).get(f"{layer}.input")
    before = case.before.parameters.get(case.key.tensor)
    if given is None or before is None or given.ndim < 2 or given.shape[1] != before.size:
        return
    taken = dict(_taken_up(given.astype(np.float64), own))
    old = before.astype(np.float64)
    for name, batch in taken.items():
        for momentum in with_digits(ratio(batch - old, case.apart.here - old)):
            left = case.apart.left(old + momentum * (batch - old), unknowns=1, target=case.apart.here)
            if left is not None:
                yield from _otherwise(case, old, taken, (name, momentum, left))
                return


def _taken_up(given: Array, own: str) -> Iterator[tuple[str, Array]]:
    axes = tuple(axis for axis in range(given.ndim) if axis != 1)
    count = given.size // given.shape[1]
    if own == "running_mean":
        yield "mean", given.mean(axes)
    elif count > 1:
        biased = given.var(axes)
        yield "unbiased variance", biased * count / (count - 1)
        yield "biased variance", biased


def _otherwise(case: Case, old: Array, taken: dict[str, Array], fits: tuple[str, float, float]) -> Iterator[Hint]:
    expected, momentum, left = fits
    for name, batch in taken.items():
        if name != expected and (more := case.apart.left(old + momentum * (batch - old))) is not None:
            words = f"as with the {name} of the batch where {case.other} it fits the {expected}"
            yield Hint(words, max(left, more))
            return
    for name, batch in taken.items():
        for other in with_digits(ratio(batch - old, case.apart.there - old)):
            if (more := case.apart.left(old + other * (batch - old), unknowns=1)) is not None:
                also = "" if name == expected else f", of the {name}"
                words = f"as with momentum {other:g}{also}, where {case.other} it fits {momentum:g}"
                yield Hint(words + _counted_from_the_other_end(other, momentum), max(left, more))
                return


def _counted_from_the_other_end(other: float, momentum: float) -> str:
    if not np.isclose(other, 1 - momentum, rtol=1e-6, atol=0):
        return ""
    counts = "torch's momentum is the share of the batch, Flax's that of the old value"
    return f"; {counts}: {other:g} for torch's {momentum:g}"
