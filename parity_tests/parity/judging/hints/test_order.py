"""Numbers in other places are told by how they got there; the same numbers changed a little are not."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import permutations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from parity.judging.hints.evidence import Apart, Hint
from parity.judging.hints.order import mixed, reordered, shifted, transposed
from parity.recording import Array
from parity_tests.parity.judging.hints.made_cases import apart, drawn, noisy, words

HERE = drawn(6, 8, 10)
FINDS = (transposed, reordered, shifted, mixed)


def first(find: Callable[[Apart], Iterator[Hint]], here: Array, there: Array) -> str:
    return words(next(find(apart(here, there)), None))


@given(st.integers(0, 2**31), st.permutations(range(3)), st.tuples(*[st.integers(2, 5)] * 3))
def test_any_order_of_axes_is_told(seed: int, axes: list[int], shape: tuple[int, ...]) -> None:
    here = drawn(*shape, seed=seed)
    expected = "" if axes == [0, 1, 2] else f"transposed to the axes {tuple(axes)}"
    assert first(transposed, here, here.transpose(axes)) == expected


def test_a_matrix_is_transposed_square_or_not() -> None:
    for rows in (3, 4):
        assert first(transposed, HERE[0, :rows, :4], HERE[0, :rows, :4].T) == "transposed"


def test_a_flatten_in_another_order_is_told() -> None:
    channels_last = HERE.transpose(0, 2, 1).reshape(6, 80)
    assert (
        first(transposed, HERE, channels_last)
        == "read in the order of the axes (0, 2, 1) and written in the shape (6, 80)"
    )
    assert first(transposed, HERE, HERE.reshape(6, 80)).startswith("the same numbers in the same order and written in")
    flat = first(reordered, HERE.reshape(6, 80), channels_last)
    assert flat == "in another order along axis 1: its 80 entries as 8 x 10, read column by column"
    wrong_shape = HERE[0].T.reshape(8, 10)
    assert (
        first(transposed, HERE[0], wrong_shape)
        == "read in the order of the axes (1, 0) and written in the shape (8, 10)"
    )


@pytest.mark.parametrize(
    ("order", "told"),
    [
        ([7, 6, 5, 4, 3, 2, 1, 0], "reversed along axis 1"),
        ([7, 0, 1, 2, 3, 4, 5, 6], "rolled along axis 1 by 1"),
        ([1, 2, 3, 4, 5, 6, 7, 0], "rolled along axis 1 by -1"),
        ([4, 5, 0, 1, 6, 7, 2, 3], "in another order along axis 1: blocks of 2 in the order 2 0 3 1"),
        ([0, 4, 1, 5, 2, 6, 3, 7], "in another order along axis 1: its 8 entries as 2 x 4, read column by column"),
        ([0, 1, 2, 5, 4, 3, 7, 6], "in another order along axis 1: 0 1 2 5 4 3 7 6"),
    ],
)
def test_an_order_along_an_axis_has_its_words(order: list[int], told: str) -> None:
    assert first(reordered, HERE, HERE[:, order]) == told


@given(st.integers(0, 2**31), st.integers(2, 4), st.integers(2, 5))
def test_blocks_such_as_gates_are_told_at_any_size(seed: int, size: int, width: int) -> None:
    here, order = drawn(4 * size, width, seed=seed), [0, 2, 1, 3]
    there = here.reshape(4, size, width)[order].reshape(here.shape)
    assert first(reordered, here, there) == f"in another order along axis 0: blocks of {size} in the order 0 2 1 3"


def test_a_long_order_is_not_written_out() -> None:
    order = np.random.default_rng(2).permutation(40)
    assert first(reordered, drawn(40, 3), drawn(40, 3)[order]).endswith("...")


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_a_shift_by_one_is_told_whatever_comes_in_at_the_end(axis: int) -> None:
    later, earlier = np.roll(HERE, 1, axis), np.roll(HERE, -1, axis)
    np.moveaxis(later, axis, 0)[0] = 0
    np.moveaxis(earlier, axis, 0)[-1] = 7
    assert first(shifted, HERE, later) == f"shifted by one along axis {axis}, to the end"
    assert first(shifted, HERE, earlier) == f"shifted by one along axis {axis}, to the front"


def test_an_order_without_a_name_is_told_where_the_numbers_are_known_again() -> None:
    there = np.random.default_rng(3).permuted(HERE, axis=None)
    assert first(mixed, HERE, there) == "the same values in another order"
    ones = (HERE > 0) * 1.0
    assert first(mixed, ones, np.random.default_rng(3).permuted(ones, axis=None)) == ""
    assert first(reordered, HERE[0, 0, :3], HERE[0, 0, [2, 0, 1]]) == ""  # three numbers: not enough


@pytest.mark.parametrize("find", FINDS)
@pytest.mark.parametrize(
    "there",
    [noisy(HERE), noisy(HERE[:, ::-1]), 2 * HERE[:, ::-1], drawn(6, 8, 10, seed=1), 2 * HERE, HERE + 1],
    ids=range(6),
)
def test_what_was_not_only_moved_is_not_told(find: Callable[[Apart], Iterator[Hint]], there: Array) -> None:
    assert first(find, HERE, there) == ""
    assert first(find, HERE, HERE) == ""


def test_all_orders_of_four_axes_are_told_from_each_other() -> None:
    here = drawn(3, 3, 3, 3)
    told = {first(transposed, here, here.transpose(axes)) for axes in permutations(range(4))}
    assert len(told) == 24
