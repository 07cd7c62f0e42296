"""Batches on the device: in the dtypes of the run, in memory of their own, there until another is asked for."""

from __future__ import annotations

import jax
import numpy as np
import pytest

from parity.jax_side.on_device import OnDevice
from parity.recording import Batch, Dtype


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


def test_a_batch_is_put_there_once_and_nothing_can_change_it() -> None:
    on_device, given = OnDevice("float32"), batch()
    found = on_device(given)
    given["images"][:] = 3
    assert on_device(given) is found
    assert found["images"].tolist() == [1, 1]
    assert on_device({"images": given["images"]})["images"].tolist() == [3, 3]
