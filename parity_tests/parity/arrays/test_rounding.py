"""Rounding to fewer mantissa bits is to nearest, and a move is one unit in the last place."""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from parity.arrays.rounding import (
    COARSE_BITS,
    FLOAT32_BITS,
    MANTISSA,
    TF32_BITS,
    cast,
    held,
    holds_bfloat16,
    moved,
    rounded,
    rounded_all,
)

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


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("bits", [TF32_BITS, 7])
@given(st.data())
def test_what_is_rounded_stays_within_half_a_unit_and_is_not_rounded_again(
    dtype: str, bits: int, data: st.DataObject
) -> None:
    numbers = st.floats(2.0**-60, 2.0**60, width=32)
    array = data.draw(hnp.arrays(dtype, hnp.array_shapes(min_dims=0, min_side=0), elements=numbers))
    found = rounded(array, bits)
    assert (found.dtype, found.shape) == (array.dtype, array.shape)
    assert np.all(np.abs(found - array) <= 2.0 ** -(bits + 1) * np.abs(array))
    assert np.array_equal(rounded(found, bits), found)
    assert np.array_equal(rounded(-array, bits), -found)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_coarse_precision_is_lower_and_every_array_of_a_dictionary_takes_it(dtype: str) -> None:
    bits = COARSE_BITS[dtype]
    assert bits < MANTISSA[dtype] == np.finfo(dtype).nmant
    step = np.array([1 + 2.0**-bits, 1 + 0.9 * 2.0 ** -(bits + 1), 0], dtype)
    found = rounded_all({"a": step, "b": np.arange(2)}, bits)
    assert found["a"].tolist() == [1 + 2.0**-bits, 1, 0]
    assert found["b"].tolist() == [0, 1]


def test_a_move_keeps_zero_near_and_shapes_dtypes_and_the_original_as_they_were() -> None:
    start = {"a": np.zeros((2, 0)), "b": np.array(1.0, "float32"), "c": np.zeros(3)}
    found = moved(start, 1, 0)
    assert [(a.shape, a.dtype) for a in found.values()] == [(a.shape, a.dtype) for a in start.values()]
    assert 0 < np.abs(found["c"]).max() < 1e-300
    assert not start["c"].any()


def test_a_move_leaves_what_has_no_unit_in_the_last_place() -> None:
    start = {"index": np.arange(5), "mask": np.array([True, False]), "bytes": np.arange(3, dtype=np.uint8)}
    found = moved(start | {"weight": np.ones(4)}, 1, 0)
    assert all(found[name].tobytes() == array.tobytes() for name, array in start.items())
    assert (found["weight"] != 1).all()


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_what_cannot_be_rounded_stays(dtype: str) -> None:
    top = np.finfo(dtype).max
    array = np.array([np.inf, -np.inf, top, -top, 1 + 2.0**-20], dtype)
    assert rounded(array, COARSE_BITS["float32"]).tolist() == [*array[:4].tolist(), 1]


@given(hnp.arrays(np.float32, 5, elements=st.floats(width=32)))
def test_bfloat16_is_held_as_both_frameworks_round_to_it(array: np.ndarray) -> None:
    found = held(array, "bfloat16")
    assert found.dtype == np.float32
    assert holds_bfloat16(found)
    assert np.array_equal(found, torch.from_numpy(array).bfloat16().float().numpy(), equal_nan=True)
    # XLA takes what is below the smallest normal number for zero.
    normal = (np.abs(array) >= 2.0**-126) | ~np.isfinite(array)
    rounds = np.array(jnp.asarray(array).astype(jnp.bfloat16).astype(jnp.float32))
    assert np.array_equal(found[normal], rounds[normal], equal_nan=True)


def test_what_lies_halfway_between_two_of_bfloat16s_numbers_becomes_the_even_one() -> None:
    halfway = np.array([1 + 2.0**-8, 1 + 3 * 2.0**-8, -1 - 2.0**-8], np.float32)
    assert held(halfway, "bfloat16").tolist() == [1, 1 + 2.0**-6, -1]
    assert held(np.nextafter(halfway, np.float32(4)), "bfloat16").tolist() == [1 + 2.0**-7, 1 + 2.0**-6, -1]


def test_what_bfloat16_does_not_hold_is_told_from_what_it_does() -> None:
    whole = np.array([0.0, -0.0, 1.0, 3.140625, 2.0**-130, np.inf, np.nan], np.float32)
    assert holds_bfloat16(whole)
    for more in (np.float32(1 + 2.0**-8), np.float32(np.pi), np.float32(1 / 3)):
        assert not holds_bfloat16(np.append(whole, more))
    assert holds_bfloat16(np.array(0.5, np.float32))


def test_a_move_in_bfloat16_is_one_of_its_units() -> None:
    start = cast({"a": np.linspace(-3, 3, 101)}, "bfloat16")
    aside = moved(start, 1, 0, "bfloat16")
    far = np.abs(aside["a"] - start["a"])[start["a"] != 0] / np.abs(start["a"][start["a"] != 0])
    assert holds_bfloat16(aside["a"])
    assert far.min() >= 2.0**-8
    assert far.max() <= 2.0**-7
