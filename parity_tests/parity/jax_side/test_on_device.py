"""Batches on the device: in the dtypes of the run, in memory of their own, there until another is asked for."""

from __future__ import annotations

import jax
import numpy as np
import pytest

from parity.jax_side.on_device import OnDevice
from parity.recording import Array, Batch, Dtype


def batch() -> Batch:
    return {"images": np.ones(2), "pixels": np.array([1, 255], np.uint8), "kept": np.array([True, False])}


@pytest.mark.parametrize(
    ("dtype", "held"),
    [("float64", ("float64", "int64")), ("float32", ("float32", "int32")), ("bfloat16", ("bfloat16", "int32"))],
)
def test_numbers_are_as_wide_as_the_run_and_truths_stay_truths(dtype: Dtype, held: tuple[str, str]) -> None:
    with jax.enable_x64(dtype == "float64"):
        found = OnDevice(dtype)(batch())
    assert [str(found[name].dtype) for name in ("images", "pixels", "kept")] == [*held, "bool"]
    assert found["pixels"].tolist() == [1, 255]


def aligned(size: int) -> Array:
    """Ones in memory that JAX would go on using, were it handed over: it starts at a multiple of 64 bytes."""
    memory = np.zeros(8 * size + 64, np.uint8)
    start = -memory.ctypes.data % 64
    found: Array = memory[start : start + 8 * size].view(np.float64)
    found[:] = 1
    return found


def test_a_batch_is_put_there_once_and_nothing_can_change_it() -> None:
    on_device, given = OnDevice("float64"), {"x": aligned(4)}
    with jax.enable_x64(True):
        found = on_device(given)
        given["x"][:] = 3
        assert on_device(given) is found
        assert found["x"].tolist() == [1, 1, 1, 1]
        assert on_device({"x": given["x"]})["x"].tolist() == [3, 3, 3, 3]
