"""Cases made by hand: two arrays, or two recordings, that differ in a known way."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from parity.judging.hints.evidence import Apart, Case, Hint
from parity.recording import Array, Arrays, Dtype, Key, Recording
from parity_tests.parity.made_recordings import recording

EPS64 = 2.0**-52


def drawn(*shape: int, seed: int = 0) -> Array:
    """Standard normal numbers."""
    return np.asarray(np.random.default_rng(seed).standard_normal(shape))


def apart(here: Array, there: Array) -> Apart:
    """Two arrays of a float64 run."""
    return Apart(np.asarray(here, np.float64), np.asarray(there, np.float64), EPS64)


def noisy(array: Array, share: float = 1e-4) -> Array:
    """The array with noise of this share of its size: near what a hint explains, and not explained by it."""
    return np.asarray(array + share * np.max(np.abs(array)) * drawn(*array.shape, seed=99))


def case(key: Key, sides: Iterable[Recording]) -> Case:
    """The difference at a key between what torch recorded and what the jax side did."""
    expected, found = sides
    group = key.stage, key.step
    return Case(
        key, expected, found, "jax", Apart.of(expected.groups[group][key.tensor], found.groups[group][key.tensor])
    )


def of_forward(
    sides: Iterable[dict[str, Array]], tensor: str, own: Arrays | None = None, dtype: Dtype = "float64"
) -> Case:
    """A forward pass on both sides of layers with these arrays of their own."""
    expected, found = sides
    initial = ("init", 0, own or {})
    return case(
        Key("forward", 0, tensor),
        (recording(initial, ("forward", 0, expected)), recording(initial, ("forward", 0, found), dtype=dtype)),
    )


def words(hint: Hint | None) -> str:
    """What a hint says; empty where there is none."""
    return hint.words if hint else ""
