"""Masks that both sides are handed."""

from __future__ import annotations

import numpy as np
import pytest

from parity.draws import mask, stream


def test_a_mask_is_the_same_for_the_same_stream_and_call_and_another_otherwise() -> None:
    drawn = mask(stream(3, 5), 0, (40, 25), 0.4)
    assert np.array_equal(drawn, mask(stream(3, 5), 0, (40, 25), 0.4))
    for other in (mask(stream(4, 5), 0, (40, 25), 0.4), mask(stream(3, 6), 0, (40, 25), 0.4)):
        assert not np.array_equal(drawn, other)
    assert not np.array_equal(drawn, mask(stream(3, 5), 1, (40, 25), 0.4))


@pytest.mark.parametrize("rate", [0.0, 0.1, 0.5, 1.0])
def test_as_many_entries_fall_as_the_rate_says(rate: float) -> None:
    left = mask(stream(0, 0), 0, (200, 200), rate).mean()
    assert abs(left - (1 - rate)) < 4 * np.sqrt(rate * (1 - rate) / 40_000) + 1e-12
