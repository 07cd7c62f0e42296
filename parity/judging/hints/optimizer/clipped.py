"""What torch adds to the norm that it clips by, and Optax does not: seen in what an optimizer leaves.

A step of Adam hardly depends on the size of the gradients, and its moments do. Nor do they depend on a rate, so that
this is told beside any scheduler.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from parity.judging.hints.evidence import Apart, Case, Hint
from parity.judging.hints.steps import parameter_before
from parity.pair.optimizers import ADDED
from parity.recording import GRADIENT, Array, Arrays
from parity.verdict import EPS

NOTHING_ADDED = "torch adds 1e-6 to the norm that it clips by, Optax does not"
LINEAR = ("exp_avg", "momentum_buffer")
"""What is a multiple of the gradient after the first step."""


def of_a_clipped_norm(case: Case) -> Iterator[Hint]:
    """What a step leaves is larger by just as much as 1e-6 is of the norm of all gradients."""
    key = case.key
    if case.side != "jax" or not key.after_update:
        return
    gradients = [a for name, a in case.expected.of("trajectory", key.step).items() if name.startswith(GRADIENT)]
    if (norm := float(np.linalg.norm(_flat(gradients)))) > 0:
        for start, apart in _left_behind(case):
            if (left := apart.left(start + (apart.here - start) * (1 + ADDED / norm))) is not None:
                yield Hint(f"as clipped by the norm itself: {NOTHING_ADDED}", left)
                return


def _left_behind(case: Case) -> Iterator[tuple[Array, Apart]]:
    """What is a multiple of the gradient, with what it began from: memory after the first step, and a change by SGD."""
    expected, found = (recording.of("trajectory", 0) for recording in (case.expected, case.found))
    for entry in LINEAR if case.key.step == 0 else ():
        names = [name for name in _of(entry, expected) if name in found and found[name].shape == expected[name].shape]
        if names:
            here, there = (_flat([arrays[name] for name in names]) for arrays in (expected, found))
            yield np.zeros_like(here), Apart(here, there, EPS[case.found.provenance.dtype])
    start = parameter_before(case.key, case.expected)
    if start is not None and start.shape == case.apart.here.shape == case.apart.there.shape:
        yield start.astype(np.float64), case.apart


def _of(entry: str, arrays: Arrays) -> list[str]:
    return [name for name in arrays if name.startswith(f"{entry}.")]


def _flat(arrays: list[Array]) -> Array:
    return np.concatenate([np.zeros(0), *(array.astype(np.float64).ravel() for array in arrays)])
