"""What happened to the numbers of an array, each of which stayed in its place."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from parity.judging.hints.constants import Run, in_words, words_of, words_of_an_offset
from parity.judging.hints.evidence import Apart, Hint
from parity.recording import Array, Arrays

CLIPPED = 3
"""So many numbers at a bound, at least, are clipped."""


def ratio(expected: Array, found: Array) -> float:
    """The constant that brings the expected array nearest to the found one, by least squares; NaN beside zero."""
    square = float(np.vdot(expected, expected))
    return float(np.vdot(expected, found)) / square if square else float("nan")


def zeros(apart: Apart) -> Iterator[Hint]:
    """One side is zero throughout."""
    if not apart.there.any() and apart.here.any() and apart.there.size:
        yield Hint("zero", None)
    if not apart.here.any() and apart.there.any() and apart.here.size:
        yield Hint("not zero, as it is on the other", None)


def scaled(apart: Apart, run: Run) -> Iterator[Hint]:
    """All numbers are multiplied by one constant; a few that only one with a name explains."""
    if apart.here.shape != apart.there.shape:
        return
    factor = ratio(apart.here, apart.there)
    if not np.isfinite(factor) or factor == 0:
        return
    named = words_of(factor, run)
    left = apart.left(factor * apart.here, unknowns=0 if named else 1)
    if left is not None:
        yield Hint(named or in_words(factor), left)


def offset(apart: Apart) -> Iterator[Hint]:
    """The same constant is added to all numbers; to one alone, such as a loss, one that has a name."""
    if apart.here.shape == apart.there.shape and apart.here.size:
        by = float(np.mean(apart.change))
        named = words_of_an_offset(by)
        if (left := apart.left(apart.here + by, unknowns=0 if named else 1)) is not None:
            everywhere = " everywhere" if apart.here.size > 1 else ""
            yield Hint(f"{by:+.3g}{everywhere}{f', {named}' if named else ''}", left)


def clipped(apart: Apart) -> Iterator[Hint]:
    """One side is the other, cut off at a bound."""
    if apart.here.shape != apart.there.shape:
        return
    for whole, cut, words in (
        (apart.here, apart.there, "cut off {}"),
        (apart.there, apart.here, "not cut off {}, as it is on the other"),
    ):
        where = np.abs(apart.change) > apart.rounding
        for bound, at in ((np.min, "below"), (np.max, "above")):
            edge = float(bound(cut)) if cut.size else 0.0
            model = np.maximum(whole, edge) if at == "below" else np.minimum(whole, edge)
            left = apart.left(model, unknowns=1, target=cut)
            if left is None or int(where.sum()) < CLIPPED or np.all(where) or np.ptp(cut[where]) > apart.rounding:
                continue
            relu = ", as by a ReLU" if edge == 0 and at == "below" else ""
            cut_off = f"{at} {edge:.6g}{relu} ({int(where.sum())} of {where.size} numbers)"
            yield Hint(words.format(cut_off), left)


def by_channel(apart: Apart, parameters: Arrays, layer: str) -> Iterator[Hint]:
    """Every slice along one axis has its own factor, or its own offset, such as a weight or a bias that is missing."""
    here, there = apart.here, apart.there
    if here.shape != there.shape:
        return
    for axis, entries in enumerate(here.shape):
        if entries < 2 or here.size < 3 * entries:
            continue
        rows, found = (np.moveaxis(array, axis, 0).reshape(entries, -1) for array in (here, there))
        shape = tuple(entries if index == axis else 1 for index in range(here.ndim))
        offsets = np.mean(found - rows, axis=1)
        if (left := apart.left(here + offsets.reshape(shape), unknowns=entries)) is not None:
            yield Hint(f"off by one constant for each entry of axis {axis}{_bias(offsets, parameters, layer)}", left)
        squares = np.einsum("ij,ij->i", rows, rows)
        factors = np.divide(np.einsum("ij,ij->i", rows, found), squares, out=np.ones(entries), where=squares > 0)
        if (left := apart.left(here * factors.reshape(shape), unknowns=entries)) is not None:
            low, high = factors.min(), factors.max()
            said = f"scaled by another factor for each entry of axis {axis}, from {low:.6g} to {high:.6g}"
            yield Hint(said + _weight(factors, parameters, layer), left)


def _bias(offsets: Array, parameters: Arrays, layer: str) -> str:
    for name, array in _of_layer(parameters, layer, offsets):
        for words, model in (("as without", -array), ("as with twice", array)):
            if np.max(np.abs(model - offsets)) <= 1e-6 * np.max(np.abs(offsets)):
                return f", {words} {name}"
    return ""


def _weight(factors: Array, parameters: Arrays, layer: str) -> str:
    for name, array in _of_layer(parameters, layer, factors):
        with np.errstate(divide="ignore", invalid="ignore"):
            models = (
                ("as without", 1 / array),
                ("as with the square of", array),
                ("as with 1 added to", 1 + 1 / array),
            )
            for words, model in models:
                if np.max(np.abs(model - factors)) <= 1e-6 * np.max(np.abs(factors)):
                    return f", {words} {name}"
    return ""


def _of_layer(parameters: Arrays, layer: str, like: Array) -> Iterator[tuple[str, Array]]:
    for name, array in parameters.items():
        if layer and name.rpartition(".")[0] == layer and array.shape == like.shape:
            yield name, array.astype(np.float64)
