"""What happened to numbers that stayed in their place is told, and not where two things happened at once."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from parity.judging.hints.constants import Run
from parity.judging.hints.evidence import Apart, Hint
from parity.judging.hints.same_shape import by_channel, clipped, offset, scaled, zeros
from parity.recording import Array
from parity_tests.parity.judging.hints.made_cases import apart, drawn, noisy, words

HERE = drawn(6, 5, 7)
SIZES = st.lists(st.integers(2, 6), min_size=1, max_size=3).map(tuple)


def scaled_anyhow(found: Apart) -> Iterator[Hint]:
    return scaled(found, Run())


def first(find: Callable[[Apart], Iterator[Hint]], here: Array, there: Array) -> str:
    return words(next(find(apart(here, there)), None))


@given(st.integers(0, 2**31), SIZES, st.floats(1.01, 1e3))
def test_a_factor_and_an_offset_are_found_at_any_size(seed: int, shape: tuple[int, ...], constant: float) -> None:
    here = drawn(*shape, seed=seed)
    assert "times as large" in first(scaled_anyhow, here, constant * here) or constant == 2
    assert first(offset, here, here + constant) == f"{constant:+.3g} everywhere"
    assert first(offset, here, constant * here) == first(scaled_anyhow, here, here + constant) == ""


def test_zero_is_told_on_either_side() -> None:
    assert first(zeros, HERE, 0 * HERE) == "zero"
    assert first(zeros, 0 * HERE, HERE) == "not zero, as it is on the other"
    assert first(zeros, HERE, 2 * HERE) == ""
    assert first(zeros, HERE, HERE[:0]) == first(zeros, HERE[:0], HERE) == ""


def test_one_number_is_scaled_by_a_constant_with_a_name_only() -> None:
    one = np.asarray(1.7)
    assert first(scaled_anyhow, one, 2 * one) == "twice as large"
    assert words(next(scaled(apart(one, 8 * one), Run((8, 10), loss=True)), None)).startswith(
        "8 times as large, as with"
    )
    assert first(scaled_anyhow, one, 1.01 * one) == first(offset, one, one + 1) == ""


def test_one_number_tells_a_constant_that_has_a_name() -> None:
    one, constant = np.array(2.5), np.log(2 * np.pi) / 2
    assert first(offset, one, one - 3 * constant) == "-2.76, 3 times log(2 pi) / 2, as in the log of a normal density"


def test_equal_numbers_do_not_tell_a_factor_from_an_offset() -> None:
    ones = np.ones((4, 4))
    assert first(scaled_anyhow, ones, 1.3 * ones) == first(offset, ones, 1.3 * ones) == ""


@pytest.mark.parametrize("find", [scaled_anyhow, offset, clipped, lambda a: by_channel(a, {}, "")])
@pytest.mark.parametrize(
    "there",
    [noisy(HERE), noisy(2 * HERE), 2 * HERE + 1 + HERE**2, drawn(6, 5, 7, seed=1), HERE.T, np.ones(3)],
    ids=range(6),
)
def test_what_has_another_shape_or_two_of_them_is_not_told(
    find: Callable[[Apart], Iterator[Hint]], there: Array
) -> None:
    assert first(find, HERE, there) == ""


def test_a_bound_is_told_on_either_side() -> None:
    cut = np.maximum(HERE, 0)
    count = f"({np.sum(HERE < 0)} of 210 numbers)"
    assert first(clipped, HERE, cut) == f"cut off below 0, as by a ReLU {count}"
    assert first(clipped, cut, HERE) == f"not cut off below 0, as by a ReLU {count}, as it is on the other"
    assert first(clipped, HERE, np.minimum(HERE, 1.5)).startswith("cut off above 1.5 (")
    assert first(clipped, HERE, np.minimum(2 * HERE, 1.5)) == ""
    assert first(clipped, HERE, np.minimum(HERE, np.sort(HERE, axis=None)[-2])) == ""  # one number: no bound


def test_every_channel_may_have_its_factor_or_its_offset() -> None:
    factors, row = np.array([1.5, 0.5, 3, 4, 0.2]), (1, 5, 1)
    bias, weight = drawn(5, seed=3), 1 / factors
    own = {"bn.bias": bias, "bn.weight": weight, "other.bias": -bias}

    def told(there: Array) -> str:
        return words(next(by_channel(apart(HERE, there), own, "bn"), None))

    scaled_by = "scaled by another factor for each entry of axis 1, from 0.2 to 4"
    assert told(HERE * factors.reshape(row)) == f"{scaled_by}, as without bn.weight"
    assert told(HERE * (factors + 1).reshape(row)).endswith("as with 1 added to bn.weight")
    assert told(HERE - bias.reshape(row)) == "off by one constant for each entry of axis 1, as without bn.bias"
    assert told(HERE + bias.reshape(row)).endswith("as with twice bn.bias")
    assert told(HERE + 2 * bias.reshape(row)) == "off by one constant for each entry of axis 1"
    assert told(HERE * factors.reshape(row) + bias.reshape(row)) == ""
    assert words(next(by_channel(apart(HERE[:1, :, :2], 3 * HERE[:1, :, :2] + 1), own, "bn"), None)) == ""
