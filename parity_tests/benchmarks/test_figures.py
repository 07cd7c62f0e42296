"""A figure has the digits that count, and reads as what it is."""

from __future__ import annotations

import pytest

from benchmarks.figures import borne, figure, with_interval


def interval(median: float, low: float, high: float) -> dict[str, float]:
    return {"median": median, "low": low, "high": high}


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, "-"), (0.0123456, "0.0123"), (12.345, "12.3"), (999.4, "999"), (12345.6, "12,300"), (0.0, "0"),
        (999.6, "1,000"), (0.9996, "1.00"), (26.0, "26.0"), (1, "1.00"), (9.999, "10.0"),
    ],
)  # fmt: skip
def test_a_figure_has_three_digits_and_no_exponent(value: float | None, expected: str) -> None:
    assert figure(value) == expected


@pytest.mark.parametrize(("value", "expected"), [(9999.7, "10,000"), (1234.56, "1,235"), (2.5, "2.500")])
def test_a_figure_may_have_more_digits(value: float, expected: str) -> None:
    assert figure(value, 4) == expected


@pytest.mark.parametrize(
    ("half_width", "digits"), [(900.0, 2), (400.0, 2), (100.0, 2), (99.0, 3), (11.0, 3), (9.0, 4), (0.1, 4)]
)
def test_an_interval_bears_so_many_digits(half_width: float, digits: int) -> None:
    assert borne(interval(1000.0, 1000.0 - half_width, 1000.0 + half_width)) == digits


def test_what_has_no_interval_or_one_of_no_width_has_the_usual_digits() -> None:
    assert borne(None) == borne(interval(1.0, 1.0, 1.0)) == 3


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (None, "-"),
        (interval(4792.8, 3309.4, 5083.9), "4,800 [3,300, 5,100]"),
        (interval(3825.5, 3572.0, 4233.1), "3,830 [3,570, 4,230]"),
        (interval(26.0, 25.6, 26.6), "26.0 [25.6, 26.6]"),
        (interval(1.0, 0.959, 1.04), "1.00 [0.96, 1.04]"),
        (interval(1.0, 0.7125, 1.3125), "1.0 [0.71, 1.3]"),
    ],
)
def test_an_interval_stands_behind_its_median_with_the_digits_that_it_bears(
    found: dict[str, float] | None, expected: str
) -> None:
    assert with_interval(found) == expected


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (interval(0.985, 0.973, 0.99991), "0.985 [0.973, 0.9999]"),
        (interval(1.05, 1.0004, 1.1), "1.05 [1.0004, 1.10]"),
        (interval(1.05, 0.99991, 1.1), "1.05 [1.00, 1.10]"),
        (interval(1.00004, 1.00003, 1.00005), "1.00004 [1.00003, 1.00005]"),
    ],
)
def test_a_figure_reads_as_1_only_where_the_interval_holds_1(found: dict[str, float], expected: str) -> None:
    assert with_interval(found) == expected
