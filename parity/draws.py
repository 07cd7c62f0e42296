"""What a model would draw itself while it trains, drawn in NumPy instead and handed to both sides.

A pass in training mode is given a stream, drawn from the seed and the step. Every call of a dropout takes the next mask
of that stream, so the same call has the same mask on both sides, whatever the framework.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from parity.recording import Array

STREAM = "parity.stream"
"""The entry of a batch that holds the stream of its step: int64, shape (2,). No side's own code sees it."""


def stream(seed: int, step: int) -> Array:
    """The stream of a step, as a batch carries it."""
    return np.array([seed, step], np.int64)


def mask(stream: Any, call: int, shape: tuple[int, ...], rate: float) -> Array:
    """Which entries the dropout of that call leaves standing: boolean, of `shape`, in torch's layout.

    `call` counts the dropouts of one pass, from 0. An entry is dropped with probability `rate`, between 0 and 1.
    """
    seed, step = (int(number) for number in np.asarray(stream))
    return np.random.default_rng([seed, step, call]).random(shape) >= rate
