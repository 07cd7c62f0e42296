"""Masks that both sides are handed."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest

from parity.arrays.draws import mask, stream


def test_a_mask_is_the_same_for_the_same_stream_and_call_and_another_otherwise() -> None:
    drawn = mask(stream(3, 5), 0, (40, 25), 0.4)
    assert np.array_equal(drawn, mask(stream(3, 5), 0, (40, 25), 0.4))
    for other in (mask(stream(4, 5), 0, (40, 25), 0.4), mask(stream(3, 6), 0, (40, 25), 0.4)):
        assert not np.array_equal(drawn, other)
    assert not np.array_equal(drawn, mask(stream(3, 5), 1, (40, 25), 0.4))


@pytest.mark.parametrize("rate", [0.0, 0.1, 0.5, 1.0])
def test_as_many_entries_fall_as_the_rate_says(rate: float) -> None:
    left = mask(stream(0, 0), 0, (200, 200), rate).mean()
    # Only half of the entries of a square are drawn.
    assert abs(left - (1 - rate)) < 4 * np.sqrt(rate * (1 - rate) / 20_000) + 1e-12
    tall = mask(stream(0, 0), 0, (500, 80), rate).mean()
    assert abs(tall - (1 - rate)) < 4 * np.sqrt(rate * (1 - rate) / 40_000) + 1e-12


@pytest.mark.parametrize("shape", [(3, 7), (2, 4, 5, 3), (4, 3, 4, 4), (2, 6, 6), (4, 4, 4, 4), (5,), (1, 1, 3)])
def test_axes_in_another_order_have_the_same_mask_in_that_order(shape: tuple[int, ...]) -> None:
    """As images with their channels last, attention with its heads behind the words, and sequences with time first."""
    drawn = mask(stream(1, 2), 0, shape, 0.5)
    assert drawn.shape == shape
    for order in permutations(range(len(shape))):
        exchanged = mask(stream(1, 2), 0, tuple(shape[axis] for axis in order), 0.5)
        assert np.array_equal(exchanged, drawn.transpose(order)), order


def test_no_axis_of_another_length_has_it_twice() -> None:
    drawn = mask(stream(1, 2), 0, (6, 40, 6), 0.5)
    assert len({drawn[:, at].tobytes() for at in range(40)}) == 40
    assert len({drawn[at].tobytes() for at in range(6)}) == 6
