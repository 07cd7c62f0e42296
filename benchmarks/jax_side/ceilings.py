"""What JAX can make the machine do at its best: a large product, a copy, an empty call."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from benchmarks.ceilings import CALLS, COPIED, PRODUCT, REPEATS
from benchmarks.jax_side.machine import wait
from jaxnet.settings import device_of


def measure(device: str, precision: str) -> dict[str, Any]:
    """The best of several runs of each, the product in this precision: operations, bytes, seconds."""
    size, length = PRODUCT[device], COPIED[device]
    dtype = jnp.bfloat16 if precision == "bfloat16" else jnp.float32
    # As in `lowered`: with a setting of float32's, XLA leaves out its fastest products of bfloat16.
    setting = "default" if precision == "bfloat16" else None
    with jax.default_device(device_of(device)):
        matrix = jnp.ones((size, size), dtype)
        source, one = jnp.ones(length // 4), jnp.ones(1)
    product, copy = jax.jit(lambda a: jnp.matmul(a, a, precision=setting)), jax.jit(jnp.negative)
    empty = jax.jit(jnp.negative, donate_argnums=0)

    def calls() -> Any:
        # What a call gives is what the next one takes, as between the steps of a training.
        last = one + 0
        for _ in range(CALLS):
            last = empty(last)
        return last

    return {
        "flop_s": 2 * size**3 / _best(lambda: product(matrix), device),
        "bytes_s": 2 * length / _best(lambda: copy(source), device),
        "call_s": _best(calls, device) / CALLS,
        "launch_s": None,
        "graph_s": None,
    }


def _best(work: Callable[[], Any], device: str) -> float:
    seconds = []
    for _ in range(REPEATS):
        begun = time.perf_counter()
        wait(work(), device)
        seconds.append(time.perf_counter() - begun)
    return min(seconds)
