"""Rounding to fewer mantissa bits is to nearest, and a move is one unit in the last place."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from parity.rounding import FLOAT32_BITS, TF32_BITS, cast, moved, rounded

NORMAL = st.floats(1e-30, 1e30) | st.floats(-1e30, -1e-30)


@given(hnp.arrays(np.float64, 5, elements=NORMAL))
def test_float64_rounded_to_23_bits_is_float32(array: np.ndarray) -> None:
    assert np.array_equal(rounded(array, FLOAT32_BITS), array.astype(np.float32).astype(np.float64))


@given(hnp.arrays(np.float32, 5, elements=st.floats(1, 2, width=32)))
def test_float32_rounded_to_10_bits_is_the_nearest_multiple(array: np.ndarray) -> None:
    assert np.array_equal(rounded(array, TF32_BITS), np.round(array.astype(np.float64) * 1024) / 1024)


def test_nothing_else_is_rounded() -> None:
    whole, array = np.arange(5), np.array([1 / 3])
    assert rounded(whole, TF32_BITS) is whole
    assert rounded(array, None) is array
    assert {name: a.dtype.name for name, a in cast({"a": array, "b": whole}, "float32").items()} == {
        "a": "float32", "b": "int64",
    }  # fmt: skip


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_move_is_so_many_units_up_or_down(dtype: str) -> None:
    start = {"a": np.linspace(-3, 3, 101).astype(dtype)}
    for ulps in (0, 1, 4):
        steps = (moved(start, ulps, 7)["a"] - start["a"]) / np.spacing(np.abs(start["a"]))
        assert np.array_equal(np.abs(steps), np.full(101, ulps))
    assert len(np.unique(moved(start, 1, 7)["a"] > start["a"])) == 2
    assert not np.array_equal(moved(start, 1, 7)["a"], moved(start, 1, 8)["a"])
