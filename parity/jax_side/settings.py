"""What a JAX side runs under: versions, and settings that its own code must leave to whatever comes after it."""

from __future__ import annotations

import platform
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import flax
import jax
import numpy as np
import optax

from parity.recording import Dtype
from parity.sides.parts import Parts

OPTIONS = ("jax_enable_x64", "jax_default_matmul_precision")


def versions() -> dict[str, str]:
    """Of everything that the numbers may depend on."""
    packages = {"jax": jax, "flax": flax, "optax": optax, "numpy": np}
    found = {name: str(package.__version__) for name, package in packages.items()}
    return found | {"python": platform.python_version()}


@contextmanager
def computing(dtype: Dtype, device: jax.Device, tell: Callable[[str], None]) -> Iterator[None]:
    """64-bit JAX on for float64 and off for the others, full float32 products, on a device.

    These hold inside, whatever the side's own code sets there for the whole process. That is told in words, since
    outside of a check it would hold from the next call on, and is set back.
    """
    before = {option: jax.config.values[option] for option in OPTIONS}
    try:
        with (
            jax.enable_x64(dtype == "float64"),
            jax.default_matmul_precision("highest"),
            jax.default_device(device),
        ):
            yield
    finally:
        for option, value in before.items():
            if (found := jax.config.values[option]) != value:
                tell(f"{option} is {found!r}")
                jax.config.update(option, value)  # type: ignore[no-untyped-call]


def import_parts(parts: Parts, dtype: Dtype, device: jax.Device) -> None:
    """Import what a side's parts are in. What that sets is the whole program's, as what a caller sets, and set back."""
    with computing(dtype, device, lambda _: None):
        parts.import_all()
