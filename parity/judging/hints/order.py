"""The same numbers in other places: transposed, reordered along an axis, read in another order, shifted."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import permutations

import numpy as np

from parity.judging.hints.evidence import Apart, Hint
from parity.recording import Array

MOST_AXES = 5
"""All orders of so many axes are tried, not of more."""
ENOUGH_VALUES = 8
"""Numbers in no order that is known are told to be the same where so many of them are different, at least."""
LISTED = 8
"""So many places of an order are written out."""


def transposed(apart: Apart) -> Iterator[Hint]:
    """The axes stand in another order; or the numbers were read in another order of the axes, as by a flatten."""
    here, there = apart.here, apart.there
    if here.size != there.size or not 2 <= here.ndim <= MOST_AXES:
        return
    for axes in permutations(range(here.ndim)):
        turned = here.transpose(axes)
        moved = axes != tuple(range(here.ndim))
        if turned.shape == there.shape and moved and (left := apart.left(turned)) is not None:
            yield Hint("transposed" if here.ndim == 2 else f"transposed to the axes {axes}", left)
        elif turned.shape != there.shape and (left := apart.left(turned.reshape(there.shape))) is not None:
            said = f"read in the order of the axes {axes}" if moved else "the same numbers in the same order"
            yield Hint(f"{said} and written in the shape {there.shape}", left)


def reordered(apart: Apart) -> Iterator[Hint]:
    """The slices along one axis stand in another order."""
    here, there = apart.here, apart.there
    if here.shape != there.shape or not apart.holds_the_same():
        return
    for axis, entries in enumerate(here.shape):
        # A few single numbers can be put in an order that fits by chance.
        if entries < 2 or (entries == here.size and not _many_values(here)):
            continue
        order = _order(*(np.moveaxis(array, axis, 0).reshape(entries, -1) for array in (here, there)))
        if (
            not np.array_equal(order, np.arange(entries))
            and (left := apart.left(np.take(here, order, axis))) is not None
        ):
            yield Hint(_in_words(order, axis), left)


def _order(rows: Array, found: Array) -> Array:
    """For each row that was found, which of the expected ones it is most likely to be."""
    mark = np.random.default_rng(0).standard_normal(rows.shape[1])
    order = np.empty(len(rows), np.int64)
    order[np.argsort(found @ mark, kind="stable")] = np.argsort(rows @ mark, kind="stable")
    return order


def _in_words(order: Array, axis: int) -> str:
    entries = len(order)
    if np.array_equal(order, np.arange(entries)[::-1]):
        return f"reversed along axis {axis}"
    for by in range(1, entries):
        if np.array_equal(order, np.roll(np.arange(entries), by)):
            return f"rolled along axis {axis} by {by if by <= entries // 2 else by - entries}"
    for block in range(entries // 2, 0, -1):
        if entries % block == 0 and np.array_equal(order.reshape(-1, block), order[::block, None] + np.arange(block)):
            blocks = order[::block] // block
            if block > 1 and np.all(order[::block] % block == 0):
                return f"in another order along axis {axis}: blocks of {block} in the order {_listed(blocks)}"
    for rows in range(2, entries // 2 + 1):
        if entries % rows == 0 and np.array_equal(order, np.arange(entries).reshape(rows, -1).T.ravel()):
            size = f"{rows} x {entries // rows}"
            return f"in another order along axis {axis}: its {entries} entries as {size}, read column by column"
    return f"in another order along axis {axis}: {_listed(order)}"


def _listed(order: Array) -> str:
    return " ".join(map(str, order[:LISTED])) + (" ..." if len(order) > LISTED else "")


def shifted(apart: Apart) -> Iterator[Hint]:
    """Every slice along one axis stands one place further, and something else at the end."""
    here, there = apart.here, apart.there
    if here.shape != there.shape:
        return
    for axis, entries in enumerate(here.shape):
        if entries < 4:
            continue
        place = (*[slice(None)] * axis,)
        front, end = (*place, slice(None, -1)), (*place, slice(1, None))
        for taken, kept, words in ((front, end, "end"), (end, front, "front")):
            if apart.unlike(here[taken], there[kept]):
                continue
            inner = Apart(here[kept], there[kept], apart.eps)
            if (left := inner.left(here[taken])) is not None:
                yield Hint(f"shifted by one along axis {axis}, to the {words}", left)


def mixed(apart: Apart) -> Iterator[Hint]:
    """The same numbers in an order that has no name."""
    if apart.here.size != apart.there.size or not apart.holds_the_same() or not _many_values(apart.here):
        return
    here, there = (np.sort(array, axis=None) for array in (apart.here, apart.there))
    flat = Apart(apart.here.ravel(), apart.there.ravel(), apart.eps)
    if (left := flat.left(here, target=there)) is not None:
        yield Hint("the same values in another order", left)


def _many_values(array: Array) -> bool:
    """Whether numbers are different enough to be known again: most of them, and more than a few."""
    sample = array.ravel()[:4096]
    return len(np.unique(sample)) >= max(ENOUGH_VALUES, len(sample) // 2)
