"""A slice that alone differs is told, with what it looks like; a difference that is everywhere is not one."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from parity.judging.hints.constants import Run
from parity.judging.hints.evidence import Apart, Hint
from parity.judging.hints.same_shape import scaled
from parity.judging.hints.slices import only_a_slice
from parity.recording import Array
from parity_tests.parity.judging.hints.made_cases import apart, drawn, noisy, words

HERE = drawn(6, 8)


def within(found: Apart) -> Iterator[Hint]:
    return scaled(found, Run())


def first(there: Array) -> str:
    return words(next(only_a_slice(apart(HERE, there), within), None))


def changed(place: Any, change: Any) -> Array:
    there = HERE.copy()
    there[place] = change
    return there


@pytest.mark.parametrize(
    ("there", "told"),
    [
        (changed(5, -HERE[5]), "different only at 5, the last of 6 entries of axis 0, there of the opposite sign"),
        (changed(0, 2 * HERE[0]), "different only at 0, the first of 6 entries of axis 0, there twice as large"),
        (changed((slice(None), 3), drawn(6, seed=1)), "different only at 3 of 8 entries of axis 1"),
        (changed((slice(None), slice(2, 4)), 1.5), "different only at 2 to 3 of 8 entries of axis 1"),
    ],
)
def test_the_slice_is_told(there: Array, told: str) -> None:
    assert first(there) == told


@pytest.mark.parametrize(
    "there",
    [2 * HERE, noisy(HERE), changed([0, 4], 0.0), changed(slice(0, 4), 0.0), noisy(changed(5, 0.0), 1e-9), HERE],
)
def test_what_is_everywhere_or_here_and_there_is_no_slice(there: Array) -> None:
    assert first(np.asarray(there)) == ""


def test_a_short_axis_has_no_slice_worth_telling() -> None:
    there = HERE[:2, :3].copy()
    there[1] += drawn(3, seed=2)
    assert words(next(only_a_slice(apart(HERE[:2, :3], there), within), None)) == ""
