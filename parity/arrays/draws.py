"""What a model would draw itself while it trains, drawn in NumPy instead and handed to both sides.

A pass in training mode is given a stream, drawn from the seed and the step. Every call of a dropout takes the next mask
of that stream, so the same call has the same mask on both sides, whatever the framework
and the order of its axes.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import groupby
from typing import Any

import numpy as np

from parity.recording import Array

STREAM = "parity.stream"
"""The entry of a batch that holds the stream of its step: int64, shape (2,). No side's own code sees it."""


def stream(seed: int, step: int) -> Array:
    """The stream of a step, as a batch carries it."""
    return np.array([seed, step], np.int64)


def pass_name(part: str, batch: Mapping[str, Any]) -> str:
    """What a pass is called in which `part` is asked about a batch of these shapes."""
    shapes = [f"{name} {tuple(array.shape)}" for name, array in sorted(batch.items()) if name != STREAM]
    return ", ".join([part, *shapes])


def mask(stream: Any, call: int, shape: tuple[int, ...], rate: float) -> Array:
    """Which entries the dropout of that call leaves standing: boolean, of `shape`.

    `call` counts the dropouts of one pass, from 0. An entry is dropped with probability `rate`, between 0 and 1.

    The axes may stand in any order: each side has its own, and nothing in the numbers says which. So an entry's fate
    hangs on how long its axes are, and not on where they stand: with axes exchanged, it is the same mask with them
    exchanged. Among axes of one length it is symmetric.
    """
    seed, step = (int(number) for number in np.asarray(stream))
    by_length = sorted(range(len(shape)), key=shape.__getitem__)
    lengths = [(length, len(list(axes))) for length, axes in groupby(sorted(shape))]
    drawn = np.random.default_rng([seed, step, call]).random([length**count for length, count in lengths])
    for axis, (length, count) in enumerate(lengths):
        if count > 1:
            drawn = drawn.take(_symmetric(length, count), axis)
    kept: Array = drawn.reshape(sorted(shape)).transpose(np.argsort(by_length)) >= rate
    return kept


def _symmetric(length: int, count: int) -> Array:
    """For each place in `count` axes of that length, flat, the place whose coordinates are the same ones in order."""
    coordinates = np.sort(np.indices((length,) * count).reshape(count, -1), axis=0)
    places: Array = np.ravel_multi_index(tuple(coordinates), (length,) * count)
    return places
