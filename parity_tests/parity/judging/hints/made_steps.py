"""Steps of optimizers made by hand, as recordings of both sides."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from parity.judging.hints.evidence import Case
from parity.recording import Array, Arrays, Dtype, Key, Recording
from parity_tests.parity.judging.hints.made_cases import case, drawn
from parity_tests.parity.made_recordings import recording

SHAPES: dict[str, tuple[int, ...]] = {"a.weight": (12, 8), "a.bias": (12,), "b.weight": (5, 12)}
Optimizer = Callable[[Array, Array, Arrays, int], tuple[Array, Arrays]]
"""(parameter, gradient, memory, count from 1) -> the parameter and the memory after the step."""


def start(seed: int = 0, shapes: dict[str, tuple[int, ...]] = SHAPES) -> Arrays:
    """Parameters, of which a bias is zero at the start as usual."""
    return {
        n: 0 * drawn(*s) if n.endswith("bias") else drawn(*s, seed=seed + i) for i, (n, s) in enumerate(shapes.items())
    }


def gradients(step: int, parameters: Arrays) -> Arrays:
    """Gradients of very different sizes."""
    return {
        name: 1e-3 * drawn(*array.shape, seed=50 + step) * np.exp(2 * drawn(*array.shape, seed=70 + step))
        for name, array in parameters.items()
    }


def side(
    steps: int, optimizer: Optimizer, initial: Arrays, last: Optimizer | None = None, dtype: Dtype = "float64"
) -> Recording:
    """A run of so many steps, the last of them by another optimizer where one is given."""
    found = recording(("init", 0, initial), dtype=dtype)
    parameters: Arrays = initial
    memory: dict[str, Arrays] = {name: {} for name in initial}
    for step in range(steps):
        slopes = gradients(step, parameters)
        take = last if last is not None and step == steps - 1 else optimizer
        taken = {n: take(array, slopes[n], memory[n], step + 1) for n, array in parameters.items()}
        parameters, memory = {n: t[0] for n, t in taken.items()}, {n: t[1] for n, t in taken.items()}
        held = {f"{entry}.{name}": array for name, own in memory.items() for entry, array in own.items()}
        found.add("trajectory", step, slopes, prefix="gradient.")
        for stage in ("update", "trajectory"):
            found.add(stage, step, parameters | held)
    return found


def taken_otherwise(
    right: Optimizer, wrong: Optimizer, steps: int, tensor: str = "a.weight", initial: Arrays | None = None,
    change: Callable[[Array], Array] | None = None,
) -> Case:  # fmt: skip
    """The case in which the last of so many steps was taken otherwise on the jax side, and then perhaps changed."""
    begun = initial or start()
    found = side(steps, right, begun, wrong)
    if change is not None:
        for stage in ("update", "trajectory"):
            group = found.groups[stage, steps - 1]
            group |= {name: change(group[name]) for name in begun}
    return case(Key("update", steps - 1, tensor), (side(steps, right, begun), found))
