"""A case run in torch, in JAX by its translation, or in one and then in the other."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import jax
import numpy as np
import optax
import torch

from parity import from_optax, read_torch_optimizer, to_optax, write_torch_optimizer
from parity.arrays.rounding import cast
from parity.pair.optimizers import Optimizer
from parity.recording import Array, Arrays, Dtype
from parity_tests.parity.optimizers.cases import Case, Parameters

STEPS, CARRIED = 50, 20
"""How many steps are taken, and after how many the state is carried over."""
SHAPES: dict[str, tuple[int, ...]] = {"inner.weight": (3, 2), "inner.bias": (3,), "scale": ()}
Changed = Callable[[Optimizer], Optimizer]


def drawn(seed: int = 0) -> Arrays:
    generator = np.random.default_rng(seed)
    return {name: generator.normal(size=shape) for name, shape in SHAPES.items()}


def gradients(seed: int = 1) -> list[Arrays]:
    """Of every step: of any size from 1e-5 to 10, a tenth of the numbers zero."""
    generator = np.random.default_rng(seed)

    def one(shape: tuple[int, ...]) -> Array:
        size, kept = 10 ** generator.uniform(-5, 1), generator.random(shape) > 0.1
        return np.asarray(size * generator.normal(size=shape) * kept)

    return [{name: one(shape) for name, shape in SHAPES.items()} for _ in range(STEPS)]


@dataclass
class Run:
    """Where some steps led: the parameters after each, and the optimizer after the last."""

    parameters: list[Arrays]
    optimizer: Optimizer


@dataclass(frozen=True)
class Beside:
    """A case at a rate in a dtype. `changed` is done to what was read of torch before it is translated."""

    case: Case
    rate: float
    dtype: Dtype = "float64"
    changed: Changed = lambda optimizer: optimizer

    def in_torch(self, parameters: Arrays, steps: Sequence[Arrays], carried: Optimizer | None = None) -> Run:
        """The steps in torch, from fresh or from what another optimizer remembers."""
        tensors, optimizer, scheduler = self._made(parameters)
        if carried is not None:
            write_torch_optimizer(carried, optimizer, tensors, scheduler)
        after = []
        for step in steps:
            for name, gradient in cast(step, self.dtype).items():
                tensors[name].grad = torch.from_numpy(np.array(gradient))
            if self.case.clip is not None:
                self.case.clip(list(tensors.values()))
            optimizer.step()
            if scheduler is not None:
                scheduler.step()
            after.append({name: tensor.detach().numpy().copy() for name, tensor in tensors.items()})
        return Run(after, read_torch_optimizer(optimizer, tensors, scheduler, self.case.clip, STEPS))

    def in_jax(self, parameters: Arrays, steps: Sequence[Arrays], carried: Optimizer | None = None) -> Run:
        """The steps in JAX."""
        with jax.enable_x64(self.dtype == "float64"):
            read = self.changed(self.read) if carried is None else replace(self.read, state=carried.state)
            leaves = jax.device_put(cast(parameters, self.dtype))
            state, after = to_optax(read).init(leaves), []
            for step in steps:
                leaves, state = self._step(leaves, state, cast(step, self.dtype))
                after.append({name: np.asarray(leaf) for name, leaf in leaves.items()})
            return Run(after, from_optax(read, state, leaves))

    @cached_property
    def read(self) -> Optimizer:
        """The torch optimizer before its first step."""
        tensors, optimizer, scheduler = self._made(drawn())
        return read_torch_optimizer(optimizer, tensors, scheduler, self.case.clip, STEPS)

    @cached_property
    def _step(self) -> Any:
        transformation = to_optax(self.changed(self.read))

        def step(leaves: Any, state: Any, slopes: Any) -> Any:
            updates, state = transformation.update(slopes, state, leaves)
            return optax.apply_updates(leaves, updates), state

        return jax.jit(step)

    def _made(self, parameters: Arrays) -> tuple[Parameters, torch.optim.Optimizer, Any]:
        tensors = {
            name: torch.from_numpy(np.array(array)).requires_grad_()
            for name, array in cast(parameters, self.dtype).items()
        }
        optimizer = self.case.optimizer(tensors, self.rate)
        return tensors, optimizer, None if self.case.scheduler is None else self.case.scheduler(optimizer)


def apart(expected: Sequence[Arrays], found: Sequence[Arrays]) -> float:
    """The largest difference of any tensor after any step, divided by its largest absolute value so far."""
    worst, scale = 0.0, dict.fromkeys(expected[0], 0.0)
    for one, other in zip(expected, found, strict=True):
        assert one.keys() == other.keys()
        for name, array in one.items():
            assert np.isfinite(array).all(), name
            scale[name] = max(scale[name], float(np.max(np.abs(array))))
            difference = float(np.max(np.abs(array.astype(np.float64) - other[name])))
            if difference:
                worst = max(worst, difference / scale[name]) if np.isfinite(difference) else np.inf
    return worst


def together(one: Optimizer, other: Optimizer) -> float:
    """How far apart what two optimizers remember is; infinite where they remember something else."""
    if one.state.keys() != other.state.keys():
        return float("inf")
    return apart([one.state], [other.state]) if one.state else 0.0


def all_ways(case: Case, rate: float, dtype: Dtype = "float64") -> dict[str, float]:
    """How far each way to take the steps ends from torch alone: in JAX alone, and carried over in both directions."""
    beside, start, steps = Beside(case, rate, dtype), drawn(), gradients()
    alone = beside.in_torch(start, steps)
    half = beside.in_torch(start, steps[:CARRIED])
    found = {"fresh": beside.in_jax(start, steps)}
    halfway = beside.in_jax(start, steps[:CARRIED])
    found["torch then JAX"] = beside.in_jax(half.parameters[-1], steps[CARRIED:], half.optimizer)
    found["JAX then torch"] = beside.in_torch(halfway.parameters[-1], steps[CARRIED:], halfway.optimizer)
    before = {"fresh": [], "torch then JAX": half.parameters, "JAX then torch": halfway.parameters}
    return {
        way: max(apart(alone.parameters, before[way] + run.parameters), together(alone.optimizer, run.optimizer))
        for way, run in found.items()
    }
