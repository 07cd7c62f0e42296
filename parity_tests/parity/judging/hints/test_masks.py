"""A mask at other places is told as one, and not by the size of the numbers that it wrote in."""

from __future__ import annotations

import numpy as np
import pytest

from parity.judging.hints.looks_like import looks_like
from parity.recording import Array, Key
from parity_tests.parity.judging.hints.made_cases import drawn
from parity_tests.parity.made_recordings import recording

SCORES = Key("forward", 0, "scores.tap")
KEPT = np.arange(5) < np.array([[5], [2], [3]])


def masked(kept: Array, number: float = -1e9) -> Array:
    return np.where(kept, drawn(3, 5), number)


def told(expected: Array, found: Array, key: Key = SCORES) -> str:
    right, wrong = (recording((key.stage, key.step, {key.tensor: array})) for array in (expected, found))
    return looks_like(key, right, wrong, "jax")


@pytest.mark.parametrize("number", [-1e9, -np.inf], ids=str)
def test_places_that_one_side_alone_masks_are_counted(number: float) -> None:
    rolled = told(masked(KEPT, number), masked(np.roll(KEPT, 1, -1), number))
    assert rolled == (
        f"on the jax side it is masked at 2 of 15 places by {number:g} where it is not on the torch side, "
        f"and not masked at 2 of 15 places by {number:g} where it is on the torch side"
    )
    none = told(masked(KEPT, number), drawn(3, 5))
    assert none == f"on the jax side it is not masked at 5 of 15 places by {number:g} where it is on the torch side"


def test_at_the_same_places_the_other_hints_have_their_say() -> None:
    right = masked(KEPT)
    assert "masked" not in told(right, np.where(KEPT, 2 * right, right))
    assert "255 times as large" in told(drawn(3, 5), 255 * drawn(3, 5))


@pytest.mark.parametrize("number", [-1e9, -np.inf], ids=str)
def test_what_was_computed_is_told_beside_what_was_written_in(number: float) -> None:
    right = masked(KEPT, number)
    assert told(right, 1.2 * right).startswith("on the jax side it is 1.2 times as large (explains it ")
    # In a slice, the numbers of a mask would be all that an explanation had to explain.
    column = np.where(np.arange(5) == 4, number, drawn(3, 5))
    assert told(column, 1.2 * column).startswith("on the jax side it is 1.2 times as large (explains it ")


def test_where_nothing_else_differs_another_number_of_the_mask_does() -> None:
    column = np.where(np.arange(5) == 4, -1e9, drawn(3, 5))
    other = np.where(column == -1e9, -1e6, column * (1 + 1e-16))
    assert told(column, other).startswith("on the jax side it is different only at 4, the last of 5 entries of axis 1")


def test_a_gradient_holds_none() -> None:
    key = Key("backward", 0, "w")
    assert "masked" not in told(masked(KEPT), drawn(3, 5), key)
