"""Lower precision inside a run: float32 in float64, TF32 or bfloat16 in float32."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from parity.arrays.rounding import BFLOAT16_BITS, FLOAT32_BITS, TF32_BITS, holds_bfloat16, rounded
from parity.judging.hints.evidence import Case, Hint
from parity.judging.hints.linear import linear_layer
from parity.recording import Array

OF_FLOAT32 = 1e-9, 1e-5
"""How far apart float32 arithmetic leaves two arrays, as a share of their size: 1e-8 to 1e-6, and more in long sums."""
ENOUGH = 16
"""So many different numbers, at least, tell lower precision."""
PATTERNLESS = 4.0
"""Rounding shows no pattern where each figure of one is within so many standard deviations of none."""
FOR_PATTERNS = 256
"""So many numbers, at least, tell that there is no pattern."""


def lower_precision(case: Case) -> Iterator[Hint]:
    """Operands of a product that were rounded, numbers that float32 can hold, or an error without any pattern."""
    apart = case.apart
    if apart.here.shape != apart.there.shape or case.key.stage not in ("forward", "backward"):
        return
    yield from _product(case)
    in_float64 = case.found.provenance.dtype == "float64"
    if case.found.provenance.dtype == "float32" and (hint := _of_bfloat16(case)):
        yield hint
    share = apart.far / apart.size if apart.size else 0.0
    if not in_float64 or not OF_FLOAT32[0] <= share <= OF_FLOAT32[1] or apart.told_by < ENOUGH:
        return
    size = f"{share:.0e} of its size apart"
    held, held_there = _held(apart.here), _held(apart.there)
    if held_there and not held:
        yield Hint(f"representable in float32 and {size}, as where something is computed in float32", None)
    elif held and not held_there:
        yield Hint(f"{size}, and {case.other} representable in float32, as where that is what computes it", None)
    elif case.key.stage == "forward" and _patternless(apart.here, apart.change):
        yield Hint(f"{size} without a pattern, as where something on either side is computed in float32", None)


def _of_bfloat16(case: Case) -> Hint | None:
    """Numbers that bfloat16 can hold, where the judge's are others."""
    here, there = (array.astype(np.float32) for array in (case.apart.here, case.apart.there))
    if case.apart.told_by < ENOUGH or not holds_bfloat16(there) or holds_bfloat16(here):
        return None
    where = ", as under torch.autocast" if case.side == "torch" else ", as of a layer with dtype=jnp.bfloat16"
    return Hint(f"representable in bfloat16{where}", None)


def _held(array: Array) -> bool:
    return bool(np.array_equal(array, array.astype(np.float32)))


def _product(case: Case) -> Iterator[Hint]:
    """A linear layer's output, explained by its weight and input in fewer mantissa bits."""
    layer = linear_layer(case)
    if layer is None:
        return
    given, weight, added = layer
    for words, narrowed in NARROWED.get(case.found.provenance.dtype, {}).items():
        x, w = (narrowed(array.astype(case.found.provenance.dtype).astype(np.float64)) for array in (given, weight))
        model = x @ w.T + added
        if (left := _blurred(case, model)) is not None:
            yield Hint(f"as with weight and input {words}", left)
            return


def _blurred(case: Case, model: Array) -> float | None:
    """What a model leaves; sums of rounded products are themselves rounded, by more than single numbers are."""
    left = float(np.max(np.abs(model - case.apart.there))) / case.apart.far
    return left if left <= 0.02 and case.apart.told_by >= ENOUGH else None


def _cut(bits: int) -> Callable[[Array], Array]:
    """Numbers with all mantissa bits behind the first so many dropped, as some hardware does."""
    mask = np.uint64(0xFFFFFFFFFFFFFFFF << (52 - bits) & 0xFFFFFFFFFFFFFFFF)
    return lambda array: (array.view(np.uint64) & mask).view(np.float64)


def _near(bits: int) -> Callable[[Array], Array]:
    return lambda array: rounded(array, bits)


NARROWED: dict[str, dict[str, Callable[[Array], Array]]] = {
    "float64": {
        "rounded to float32": _near(FLOAT32_BITS),
        "rounded to TF32's 10 mantissa bits": _near(TF32_BITS),
        "rounded to bfloat16": _near(BFLOAT16_BITS),
    },
    "float32": {
        "rounded to TF32's 10 mantissa bits": _near(TF32_BITS),
        "cut off to TF32's 10 mantissa bits": _cut(TF32_BITS),
        "rounded to bfloat16": _near(BFLOAT16_BITS),
    },
}
"""What may happen to the operands of a product, by the dtype of the run."""


def _patternless(here: Array, change: Array) -> bool:
    """Whether errors are as many up as down, the same everywhere, and no function of the numbers they were made in."""
    wrong = change.ravel()
    deviation = float(np.std(wrong))
    few = wrong.size < FOR_PATTERNS or np.count_nonzero(wrong) < wrong.size / 2
    if few or deviation == 0 or np.ptp(here) == 0:
        return False
    means = [np.mean(change, axis=tuple(i for i in range(change.ndim) if i != axis)) for axis in range(change.ndim)]
    even = all(
        np.max(np.abs(mean)) <= (1 + PATTERNLESS) * deviation / (wrong.size / mean.size) ** 0.5 for mean in means
    )
    ordered = wrong[np.argsort(here, axis=None, kind="stable")]
    bound = PATTERNLESS / wrong.size**0.5
    related = [np.corrcoef(ordered[:-1], ordered[1:])[0, 1], np.corrcoef(here.ravel(), wrong)[0, 1]]
    balance = np.count_nonzero(wrong > 0) / np.count_nonzero(wrong)
    return even and bool(np.max(np.abs(related)) <= bound) and abs(balance - 0.5) <= bound
