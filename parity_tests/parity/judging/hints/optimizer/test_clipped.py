"""The 1e-6 that torch adds to a norm is told from what one step leaves, and from nothing that only resembles it."""

from __future__ import annotations

import numpy as np
import pytest

from parity.judging.hints.looks_like import looks_like
from parity.judging.hints.optimizer.clipped import NOTHING_ADDED, of_a_clipped_norm
from parity.recording import Array, Key, Recording
from parity_tests.parity.judging.hints.made_cases import case, drawn, noisy, words
from parity_tests.parity.made_recordings import recording

START, SLOPE = drawn(6, 5), drawn(6, 5, seed=1)
BOUND = 0.1
NORM = float(np.linalg.norm(SLOPE))
KEY = Key("update", 0, "w")
TOLD = f"as clipped by the norm itself: {NOTHING_ADDED}"


def clipped(added: float) -> Array:
    return np.asarray(SLOPE * BOUND / (NORM + added))


def stepped(after: Array, **remembered: Array) -> Recording:
    held = {"w": after} | {f"{entry}.w": array for entry, array in remembered.items()}
    trained = {"gradient.w": SLOPE} | held
    return recording(("init", 0, {"w": START}), ("update", 0, held), ("trajectory", 0, trained))


def adam(slope: Array) -> Recording:
    moved = START - 0.01 * slope / (np.abs(slope) + 1e-8)
    return stepped(moved, exp_avg=0.1 * slope, exp_avg_sq=1e-3 * slope**2)


def sgd(slope: Array) -> Recording:
    return stepped(START - 0.1 * slope)


def told(torch: Recording, jax: Recording) -> str:
    return words(next(of_a_clipped_norm(case(KEY, (torch, jax))), None))


def test_it_is_told_from_moments_and_from_a_change() -> None:
    assert told(adam(clipped(1e-6)), adam(clipped(0.0))) == TOLD
    assert told(sgd(clipped(1e-6)), sgd(clipped(0.0))) == TOLD


def test_it_comes_before_whatever_else_explains_the_step() -> None:
    for made in (adam, sgd):
        assert NOTHING_ADDED in looks_like(KEY, made(clipped(1e-6)), made(clipped(0.0)), "jax")


@pytest.mark.parametrize("wrong", [clipped(2e-6), clipped(1e-6) * (1 + 1e-7), noisy(clipped(0.0)), SLOPE], ids=range(4))
def test_what_only_resembles_it_is_not_told(wrong: Array) -> None:
    for made in (adam, sgd):
        assert told(made(clipped(1e-6)), made(wrong)) == ""


def test_without_gradients_nothing_is_told() -> None:
    bare = recording(("init", 0, {"w": START}), ("update", 0, {"w": START - 0.1 * SLOPE}))
    assert told(bare, sgd(clipped(0.0))) == ""
