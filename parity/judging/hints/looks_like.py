"""A phrase for what a difference looks like, where it has a known shape."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain

import numpy as np

from parity.judging.hints.activations import of_a_segment
from parity.judging.hints.evidence import Apart, Case, Hint
from parity.judging.hints.linear import of_a_weight
from parity.judging.hints.masks import beside_a_mask, of_a_mask
from parity.judging.hints.norms import of_a_norm
from parity.judging.hints.optimizer.adam import of_adam
from parity.judging.hints.optimizer.clipped import of_a_clipped_norm
from parity.judging.hints.optimizer.sgd import of_sgd
from parity.judging.hints.order import mixed, reordered, shifted, transposed
from parity.judging.hints.precision import lower_precision
from parity.judging.hints.running import of_running_statistics
from parity.judging.hints.same_shape import by_channel, clipped, offset, scaled, zeros
from parity.judging.hints.slices import only_a_slice
from parity.judging.hints.steps import against_neighbours, of_change, unmoved
from parity.recording import PLACE, Framework, Key, Recording


def looks_like(key: Key, expected: Recording, found: Recording, side: Framework) -> str:
    """One line for how what `side` found looks beside what was expected, with its evidence; empty where unknown."""
    here, there = expected.get(key), found.get(key)
    if here is None or there is None or not (here.dtype.kind == there.dtype.kind == "f"):
        return ""
    apart = beside_a_mask(key, here, there)
    case = Case(key, expected, found, side, apart)
    if masked := of_a_mask(case):
        return f"on the {side} side it is {masked}"
    if not apart.finite or apart.far == 0:
        return ""
    # What overflows on the way explains nothing.
    with np.errstate(all="ignore"):
        hint = next(_hints(case), None)
    return f"on the {side} side it is {hint}" if hint else ""


def _hints(case: Case) -> Iterator[Hint]:
    """Every hint that fits, those first that know most of what was done."""
    layer = place["layer"] if (place := PLACE.match(case.key.tensor)) else ""
    return chain(
        # Before it is told that a parameter is zero, which it may have been all along.
        unmoved(case),
        zeros(case.apart),
        of_a_clipped_norm(case),
        # Of running statistics more is known than how far they changed.
        *(find(case) for find in (of_adam, of_sgd, of_running_statistics, of_change, against_neighbours)),
        *(find(case) for find in (of_a_norm, of_a_weight, of_a_segment)),
        _everywhere(case.apart, case),
        by_channel(case.apart, case.before.parameters if layer else {}, layer),
        only_a_slice(case.apart, lambda inner: _everywhere(inner, case)),
        lower_precision(case),
        mixed(case.apart),
    )


def _everywhere(apart: Apart, case: Case) -> Iterator[Hint]:
    return chain(
        zeros(apart), scaled(apart, case.run), transposed(apart), reordered(apart), shifted(apart),
        offset(apart), clipped(apart),
    )  # fmt: skip
