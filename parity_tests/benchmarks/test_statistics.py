"""Medians, paired ratios, and what counts as a difference."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.statistics import Interval, beyond, interval, noise_of, ratio

TIMES = st.lists(st.floats(0.5, 2.0), min_size=2, max_size=12)


@given(TIMES)
def test_the_median_lies_in_its_interval_and_that_within_the_values(values: list[float]) -> None:
    found = interval(values)
    assert min(values) <= found.low <= found.median <= found.high <= max(values)
    assert found == interval(values)


def test_equal_values_leave_no_doubt() -> None:
    assert interval([2.0, 2.0, 2.0]) == Interval(2.0, 2.0, 2.0)


def test_a_ratio_is_taken_round_by_round_whatever_the_rounds_have_in_common() -> None:
    slow_rounds = {0: 1.0, 1: 3.0, 2: 10.0}
    assert ratio(slow_rounds, {index: seconds / 2 for index, seconds in slow_rounds.items()}) == (2.0, 2.0, 2.0)
    assert ratio({0: 1.0, 1: 2.0, 2: 7.0}, {2: 7.0, 1: 2.0}) == (1.0, 1.0, 1.0)


def test_noise_is_the_furthest_that_a_twin_was_from_itself() -> None:
    assert noise_of([]) == 1.0
    assert noise_of([Interval(1.0, 0.98, 1.02), Interval(1.0, 0.8, 1.1)]) == pytest.approx(1.25)


@pytest.mark.parametrize(
    ("found", "differs"),
    [
        (Interval(1.5, 1.4, 1.6), True),
        (Interval(0.5, 0.4, 0.6), True),
        (Interval(1.5, 0.9, 1.6), False),
        (Interval(1.04, 1.03, 1.05), False),
        (Interval(0.97, 0.96, 0.98), False),
    ],
    ids=["slower", "faster", "1 within", "within noise", "within noise, below 1"],
)
def test_a_difference_excludes_1_and_exceeds_noise(found: Interval, differs: bool) -> None:
    assert beyond(found, 1.05) is differs


def test_the_interval_is_that_of_95_percent_of_the_medians_of_resamples() -> None:
    """Of seven values, the median of a resample is the least with probability 0.010, one of the two least with 0.108.

    So the second is where 0.025 are below. With 99 % that would be the first, with 50 % the third; and means would be
    drawn towards the one that is far away.
    """
    assert interval([4.0, 1.0, 1000.0, 3.0, 6.0, 2.0, 5.0]) == Interval(4.0, 2.0, 6.0)
