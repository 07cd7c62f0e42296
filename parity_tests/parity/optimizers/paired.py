"""A case as the torch side of the tiny pair, and on its JAX side the translation of it with a change, or none."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import optax
import torch
from torch import Tensor

from parity import Pair, check, read_torch_optimizer, to_optax
from parity.pair.optimizers import Optimizer
from parity_tests.parity.optimizers.beside import STEPS
from parity_tests.parity.optimizers.cases import CASES, Case
from parity_tests.parity.optimizers.changes import SMALL, Change, altered
from parity_tests.parity.tiny import tiny
from parity_tests.parity.tiny_draws import draw_parameters

NAMES = {name: f"{name.replace('weight', 'kernel')}.value" for name in draw_parameters(0)}
"""Torch's names in the order of its parameters, and those of the leaves."""
RATE = 0.01
NAMED = {case.name: case for case in CASES}
Changed = Callable[[Optimizer], Optimizer]


def in_torch(case: Case, rate: float) -> dict[str, Any]:
    """The parts of a torch side that trains by the case."""

    def optimizer(parameters: list[Tensor]) -> torch.optim.Optimizer:
        return case.optimizer(dict(zip(NAMES, parameters, strict=True)), rate)

    return {"optimizer": optimizer, "scheduler": case.scheduler, "clip": case.clip}


def of_leaves(case: Case, rate: float) -> Optimizer:
    """The torch optimizer of the case over the leaves of the JAX side."""
    tensors = {name: torch.from_numpy(np.array(a)).requires_grad_() for name, a in draw_parameters(0).items()}
    optimizer = case.optimizer(tensors, rate)
    scheduler = None if case.scheduler is None else case.scheduler(optimizer)
    read = read_torch_optimizer(optimizer, tensors, scheduler, case.clip, STEPS)
    groups = (group._replace(parameters=tuple(NAMES[name] for name in group.parameters)) for group in read.groups)
    shapes = {NAMES[name]: shape[::-1] for name, shape in read.shapes.items()}
    # Fresh: what Adagrad remembers already follows from its options.
    return replace(read, groups=tuple(groups), shapes=shapes, state={})


def changed(case: Case, rate: float, change: Changed, steps: int = 10) -> Pair:
    """The pair whose JAX side has the translation with a change."""
    return tiny(steps, torch=in_torch(case, rate), jax={"optimizer": lambda: to_optax(change(of_leaves(case, rate)))})


def said(change: Change) -> str:
    """The first difference that a check finds where the JAX side has the change."""
    case = NAMED[change.case]
    rate = 1.0 if change.option == "step_sizes" else RATE
    pair = changed(case, rate, lambda read: altered(read, SMALL.get(change, change)), 45 if case.scheduler else 10)
    return str(check(pair, dtypes=("float64",), loops=()).first_difference or "")


def beside(case: Case, rate: float, make: Callable[[], optax.GradientTransformation], steps: int) -> Pair:
    """The pair whose JAX side has an optimizer of Optax's own."""
    return tiny(steps, torch=in_torch(case, rate), jax={"optimizer": make})


def translated(case: Case, rate: float, steps: int = 10) -> Pair:
    """The pair whose JAX side names no optimizer."""
    return tiny(steps, torch=in_torch(case, rate), jax={"optimizer": None})
