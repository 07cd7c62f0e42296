"""Recordings of both sides of a case, made of single steps over drawn gradients: what a check would have of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from parity.jax_side.optimizer import steps
from parity.judging.hints.optimizer.ran import Ran
from parity.pair.optimizers import STEP, Optimizer
from parity.recording import Arrays, Framework, Provenance, Recording
from parity_tests.parity.optimizers.beside import Beside, drawn, gradients
from parity_tests.parity.optimizers.cases import Case

STEPS = 12
Changed = Callable[[Optimizer], Optimizer]


def ran(case: Case, rate: float, change: Changed, count: int = STEPS) -> Ran:
    """What the JAX side did by the changed optimizer, where torch's is that of the case."""
    read = Beside(case, rate).read
    torch, jax = side("torch", read, count), side("jax", change(read), count)
    same = next((n for n in range(count) if not alike(torch.of("trajectory", n), jax.of("trajectory", n))), 0)
    return Ran(read, jax, torch, jax, same, steps)


def alike(one: Arrays, other: Arrays) -> bool:
    return one.keys() == other.keys() and all(np.array_equal(array, other[name]) for name, array in one.items())


def side(framework: Framework, optimizer: Optimizer, count: int = STEPS) -> Recording:
    """So many steps of an optimizer."""
    found = Recording(Provenance(framework, {}, "cpu", "a machine", "float64", "float32", x64=True))
    parameters = drawn()
    found.add("init", 0, parameters)
    memory: Arrays = {}
    for number, slopes in enumerate(gradients()[:count]):
        begun = replace(optimizer, state=memory | ({STEP: np.asarray(number)} if number else {}))
        parameters, memory = steps.step(begun, parameters, slopes)
        found.add("trajectory", number, slopes, prefix="gradient.")
        found.add("trajectory", number, parameters | memory)
    return found
