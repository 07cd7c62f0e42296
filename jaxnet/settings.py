"""How a run is computed: on which device, in which dtype, with which products, and over which steps."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import jax
import numpy as np

DEVICES = ("cpu", "gpu")
DTYPES = ("float32", "float64")
PRECISIONS = ("float32", "tf32")


class SettingsError(ValueError):
    """A setting that cannot be: one line that says what was expected and what to do."""


def _known(name: str, value: str, known: tuple[str, ...]) -> str:
    if value not in known:
        raise SettingsError(f"{name} is {value!r}: expected {' or '.join(known)}")
    return value


def device_of(device: str) -> jax.Device:
    """The device that "cpu" or "gpu" means. Raises SettingsError where the framework sees none."""
    try:
        return jax.devices(_known("device", device, DEVICES))[0]
    except RuntimeError as error:
        why = str(error).partition("\n")[0]
        raise SettingsError(f"JAX sees no GPU ({why}): use --device cpu, or install the extra cuda13") from error


def dtype_of(dtype: str) -> np.dtype:
    """The dtype that "float32" or "float64" means. Raises SettingsError for any other."""
    return np.dtype(_known("dtype", dtype, DTYPES))


@contextmanager
def computing(device: str, dtype: str, precision: str = "float32") -> Iterator[None]:
    """Inside, the framework computes on this device, in this dtype, with these float32 products; afterwards as before.

    `precision` "float32" rounds products as float32 does; "tf32" rounds their factors to 10 mantissa bits, which only
    a GPU offers. Raises SettingsError.
    """
    check(device, dtype, precision)
    with (
        # Off for float32 even where the user has it on: Optax's float32 arithmetic depends on it.
        jax.enable_x64(dtype == "float64"),
        # JAX's own default on a GPU may be TF32, where torch's is float32.
        jax.default_matmul_precision("tensorfloat32" if precision == "tf32" else "float32"),
        jax.default_device(device_of(device)),
    ):
        yield


def check(device: str, dtype: str, precision: str) -> None:
    """Raise SettingsError where these cannot be, or cannot be together, or not on this machine."""
    _known("precision", precision, PRECISIONS)
    dtype_of(dtype)
    if precision == "tf32" and (device, dtype) != ("gpu", "float32"):
        raise SettingsError("tf32 needs a GPU and float32: use --device gpu --dtype float32, or --precision float32")
    device_of(device)


@dataclass(frozen=True)
class Settings:
    """The settings of a run: steps `start` to `start + count` out of `steps`. A `count` of None goes on to the last.

    `device`, `dtype` and `precision` as in `computing`. Raises SettingsError.
    """

    steps: int
    learning_rate: float
    device: str
    dtype: str
    precision: str
    start: int = 0
    count: int | None = None

    def __post_init__(self) -> None:
        check(self.device, self.dtype, self.precision)
        if self.steps < 1:
            raise SettingsError(f"steps is {self.steps}: expected 1 or more")
        if not (math.isfinite(self.learning_rate) and self.learning_rate > 0):
            raise SettingsError(f"learning rate is {self.learning_rate}: expected a number above 0")
        if not 0 <= self.indices.start < self.indices.stop <= self.steps:
            raise SettingsError(f"start {self.start} and count {self.count}: expected steps within 0 to {self.steps}")

    @property
    def indices(self) -> range:
        """The steps to take, from 0."""
        return range(self.start, self.steps if self.count is None else self.start + self.count)
