"""What is asked of JAX about a run and the machine: whether it is done, its precision, its memory, its kernels."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import jax
import numpy as np

from benchmarks.jax_side.lowered import lowered
from benchmarks.prepared import losses_of
from benchmarks.probe import bits_kept
from benchmarks.switches import flags
from jaxnet.settings import computing, device_of
from parity.recording import Array


def wait(result: Any, device: str) -> None:
    """Come back when all that was submitted is done; the clock stops after this, and `result` is there."""
    jax.block_until_ready(result)  # type: ignore[no-untyped-call]


def settled(result: Any, device: str) -> bool:
    """Whether there is a result and all of it is done, without waiting for it. JAX comes back before, on a CPU too."""
    arrays = [leaf for leaf in jax.tree.leaves(result) if isinstance(leaf, jax.Array)]
    return bool(arrays) and all(array.is_ready() for array in arrays)  # type: ignore[attr-defined]


def spoil(result: Any) -> None:
    """Make the losses of a run that is over useless: what a later run hands out once more is seen."""
    for leaf in jax.tree.leaves(losses_of(result)):
        if isinstance(leaf, jax.Array):
            # JAX's arrays do not change.
            leaf.delete()


def probe(rows: int, inner: int, columns: int, device: str, precision: str) -> int:
    """Mantissa bits that the factors of a product of these sizes keep, under the settings in force."""

    def product(model: Callable[[jax.Array], jax.Array], batch: dict[str, jax.Array]) -> jax.Array:
        return model(batch["x"])

    asked = jax.jit(lowered(product) if precision == "bfloat16" else product)

    def multiply(*factors: Array) -> Array:
        first, second = (jax.device_put(factor, device_of(device)) for factor in factors)
        return np.asarray(asked(jax.tree_util.Partial(_times, second), {"x": first}))  # type: ignore[no-untyped-call]

    return bits_kept(multiply, rows, inner, columns)


def _times(second: jax.Array, first: jax.Array) -> jax.Array:
    return first @ second


def peak_memory(device: str) -> int | None:
    """The most bytes of arrays at once, as JAX counts them on a GPU; on a CPU it does not count."""
    found = device_of(device).memory_stats()
    return int(found["peak_bytes_in_use"]) if found else None


def kernels(run: Callable[[], Any], device: str) -> int | None:
    """How many kernels a run starts on a GPU, counted by JAX's profiler; None on a CPU, where there are none."""
    if device == "cpu":
        return None
    with tempfile.TemporaryDirectory() as folder:
        with jax.profiler.trace(folder):
            wait(run(), device)
        file = next(Path(folder).rglob("*.xplane.pb"))
        planes = list(jax.profiler.ProfileData.from_file(str(file)).planes)
    streams = [line for plane in planes if plane.name.startswith("/device:GPU") for line in plane.lines]
    return sum(len(list(line.events)) for line in streams if line.name.startswith("Stream"))


def provenance(device: str) -> dict[str, Any]:
    """Versions, the device's name, threads and flags, as this process has them."""
    return {
        "versions": {name: version(name) for name in ("jax", "jaxlib", "flax", "optax")},
        "device_name": device_of(device).device_kind,
        "threads": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "flags": flags() | {"jax_default_matmul_precision": str(jax.config.jax_default_matmul_precision)},  # type: ignore[attr-defined]
    }


__all__ = ["computing", "kernels", "peak_memory", "probe", "provenance", "settled", "spoil", "wait"]
