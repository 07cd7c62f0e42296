"""How a difference stands to the steps before and after, and to how a parameter moved."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from parity.judging.hints.constants import RATE_IN_FLOAT32, is_of_float32
from parity.judging.hints.evidence import Apart, Case, Hint
from parity.judging.hints.same_shape import ratio, scaled
from parity.recording import GRADIENT, Array, Key, Recording


def against_neighbours(case: Case) -> Iterator[Hint]:
    """What was found is what was expected a step earlier or later, or has the step before added to it."""
    key, apart = case.key, case.apart
    before, after = (case.expected.get(key._replace(step=key.step + by)) for by in (-1, 1))
    own_before = case.found.get(key._replace(step=key.step - 1))
    for neighbour, words in ((before, "one step late"), (after, "one step early")):
        if neighbour is not None and (left := apart.left(neighbour.astype(np.float64))) is not None:
            yield Hint(words, left)
    if not key.is_gradient:
        return
    for earlier in (before, own_before):
        if earlier is None or earlier.shape != apart.here.shape:
            continue
        if (left := apart.left(apart.here + earlier)) is not None:
            yield Hint("added to the value of the step before, as where a gradient is not zeroed", left)


def unmoved(case: Case) -> Iterator[Hint]:
    """A parameter stands where it stood before the step."""
    change, change_found = _changes(case)
    if change is None or change_found is None:
        return
    if not change_found.any():
        yield Hint("not moved", None)
    elif not change.any():
        gradient = case.expected.of("trajectory", case.key.step).get(f"{GRADIENT}{case.key.tensor}")
        none = case.side == "jax" and gradient is not None and not gradient.any()
        why = " (torch's optimizer leaves a parameter without a gradient as it is)" if none else ""
        yield Hint(f"moved, where the other did not{why}", None)


def of_change(case: Case) -> Iterator[Hint]:
    """How far a parameter moved in a step, beside how far it was expected to."""
    change, change_found = _changes(case)
    if change is None or change_found is None or not (change.any() and change_found.any()):
        return
    # A change is as exact as what it was taken from.
    eps = case.apart.eps * case.apart.size / max(np.max(np.abs(change)), 1e-300)
    moved = Apart(change, change_found, eps)
    # The gradients agree, so that no dropout is behind it.
    hints = list(scaled(moved, case.run._replace(dropout=False)))
    in_float64 = case.found.provenance.dtype == "float64"
    if hints and in_float64 and case.side == "jax" and is_of_float32(ratio(change, change_found)):
        yield Hint(RATE_IN_FLOAT32, hints[0].left)
    yield from (Hint(f"as with a change {hint.words}", hint.left) for hint in hints)


def _changes(case: Case) -> tuple[Array, Array] | tuple[None, None]:
    """By how much a parameter was moved, as expected and as found; None where the tensor is no parameter."""
    key, apart = case.key, case.apart
    if not key.after_update or apart.here.shape != apart.there.shape:
        return None, None
    start, start_found = (parameter_before(key, side) for side in (case.expected, case.found))
    if start is None or start_found is None or start.shape != apart.here.shape:
        return None, None
    return apart.here - start, apart.there - start_found


def parameter_before(key: Key, recording: Recording) -> Array | None:
    """A parameter as it stood before a step; None where there is none of that name, or it was not kept."""
    if key.tensor not in recording.of("init", 0):
        return None
    before = ("init", 0) if key.step == 0 else ("trajectory", key.step - 1)
    return recording.of(*before).get(key.tensor)
