"""Torch optimizers with their options, groups, schedules and clipping, that the translation is compared on."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.optim import lr_scheduler

Parameters = dict[str, Tensor]


@dataclass(frozen=True)
class Case:
    """One row: an optimizer, and what stands around it. `second` are the options of a group of its own for the bias."""

    name: str
    kind: str
    options: Mapping[str, Any] = field(default_factory=dict)
    second: Mapping[str, Any] | None = None
    scheduler: Callable[[torch.optim.Optimizer], Any] | None = None
    clip: Callable[[list[Tensor]], Any] | None = None

    def optimizer(self, parameters: Parameters, rate: float) -> torch.optim.Optimizer:
        made = getattr(torch.optim, self.kind)
        if self.second is None:
            found = made(list(parameters.values()), lr=rate, **self.options)
        else:
            first = [parameter for name, parameter in parameters.items() if not name.endswith("bias")]
            second = [parameter for name, parameter in parameters.items() if name.endswith("bias")]
            groups = [{"params": first}, {"params": second, "lr": rate / 3, **self.second}]
            found = made(groups, lr=rate, **self.options)
        assert isinstance(found, torch.optim.Optimizer)
        return found


def clip_norm(bound: float, order: float = 2.0) -> Callable[[list[Tensor]], Any]:
    return lambda parameters: torch.nn.utils.clip_grad_norm_(parameters, bound, norm_type=order)


def clip_value(bound: float) -> Callable[[list[Tensor]], Any]:
    return lambda parameters: torch.nn.utils.clip_grad_value_(parameters, bound)


def one_cycle(optimizer: torch.optim.Optimizer, **options: Any) -> Any:
    highest = [3 * group["lr"] for group in optimizer.param_groups]
    return lr_scheduler.OneCycleLR(optimizer, highest, total_steps=60, **options)


def cyclic(optimizer: torch.optim.Optimizer, mode: str = "triangular", **options: Any) -> Any:
    lowest = [group["lr"] for group in optimizer.param_groups]
    lengths = {"step_size_up": 5, "step_size_down": 8}
    return lr_scheduler.CyclicLR(optimizer, lowest, [3 * rate for rate in lowest], mode=mode, **lengths, **options)  # type: ignore[arg-type]


def chained(optimizer: torch.optim.Optimizer) -> Any:
    schedules = [
        lr_scheduler.LinearLR(optimizer, start_factor=0.2, total_iters=9),
        lr_scheduler.ExponentialLR(optimizer, gamma=0.97),
        lr_scheduler.MultiStepLR(optimizer, milestones=[11, 30], gamma=0.5),
        lr_scheduler.ConstantLR(optimizer, factor=0.7, total_iters=6),
    ]
    return lr_scheduler.ChainedScheduler(schedules, optimizer)


def restarted(optimizer: torch.optim.Optimizer) -> Any:
    schedules = [
        lr_scheduler.LinearLR(optimizer, start_factor=0.1, total_iters=8),
        lr_scheduler.CosineAnnealingWarmRestarts(optimizer, T_0=5, T_mult=2, eta_min=1e-5),
    ]
    return lr_scheduler.SequentialLR(optimizer, schedules, milestones=[8])


def warmed_up(optimizer: torch.optim.Optimizer) -> Any:
    schedules = [
        lr_scheduler.LinearLR(optimizer, start_factor=0.1, total_iters=8),
        lr_scheduler.CosineAnnealingLR(optimizer, T_max=30, eta_min=1e-5),
        lr_scheduler.StepLR(optimizer, step_size=3, gamma=0.5),
    ]
    return lr_scheduler.SequentialLR(optimizer, schedules, milestones=[8, 35])


def by_functions(optimizer: torch.optim.Optimizer) -> Any:
    """A warm-up in a line and a cosine down for the one group, a line down for the other."""
    first = lambda count: count / 8 if count < 8 else (1 + math.cos(math.pi * (count - 8) / 42)) / 2  # noqa: E731
    return lr_scheduler.LambdaLR(optimizer, [first, lambda count: 1 - count / 60])


OPTIMIZERS = (
    Case("SGD", "SGD"),
    Case("SGD, momentum", "SGD", {"momentum": 0.9}),
    Case("SGD, dampening", "SGD", {"momentum": 0.9, "dampening": 0.3}),
    Case("SGD, Nesterov", "SGD", {"momentum": 0.9, "nesterov": True}),
    Case("SGD, weight decay", "SGD", {"weight_decay": 0.01}),
    Case("SGD, all, maximize", "SGD", {"momentum": 0.8, "dampening": 0.1, "weight_decay": 0.001, "maximize": True}),
    Case("Adam", "Adam"),
    Case("Adam, constants", "Adam", {"betas": (0.8, 0.95), "eps": 1e-3}),
    Case("Adam, betas of 0", "Adam", {"betas": (0.0, 0.0)}),
    Case("Adam, weight decay", "Adam", {"weight_decay": 0.1}),
    Case("Adam, maximize", "Adam", {"weight_decay": 0.1, "maximize": True}),
    Case("Adam, decoupled", "Adam", {"weight_decay": 0.03, "decoupled_weight_decay": True}),
    Case("Adam, AMSGrad", "Adam", {"amsgrad": True}),
    Case("AdamW", "AdamW"),
    Case("AdamW, no decay", "AdamW", {"weight_decay": 0.0}),
    Case("AdamW, AMSGrad, maximize", "AdamW", {"amsgrad": True, "maximize": True}),
    Case("RMSprop", "RMSprop"),
    Case("RMSprop, centred", "RMSprop", {"centered": True, "alpha": 0.9}),
    Case("RMSprop, momentum", "RMSprop", {"momentum": 0.9}),
    Case("RMSprop, all, maximize", "RMSprop",
         {"momentum": 0.5, "centered": True, "weight_decay": 0.01, "eps": 1e-3, "maximize": True}),
    Case("Adagrad", "Adagrad"),
    Case("Adagrad, lr_decay", "Adagrad", {"lr_decay": 0.1}),
    Case("Adagrad, accumulator", "Adagrad", {"initial_accumulator_value": 0.1}),
    Case("Adagrad, all, maximize", "Adagrad",
         {"lr_decay": 0.01, "initial_accumulator_value": 1.0, "weight_decay": 0.1, "eps": 1e-3, "maximize": True}),
    Case("Adamax", "Adamax"),
    Case("Adamax, all, maximize", "Adamax",
         {"betas": (0.8, 0.9), "eps": 1e-3, "weight_decay": 1e-3, "maximize": True}),
    Case("NAdam", "NAdam"),
    Case("NAdam, all, maximize", "NAdam",
         {"betas": (0.8, 0.95), "eps": 1e-3, "weight_decay": 1e-3, "momentum_decay": 0.02, "maximize": True}),
    Case("NAdam, decoupled", "NAdam", {"weight_decay": 0.03, "decoupled_weight_decay": True}),
    Case("RAdam", "RAdam"),
    Case("RAdam, all, maximize", "RAdam",
         {"betas": (0.8, 0.95), "eps": 1e-3, "weight_decay": 1e-3, "maximize": True}),
    Case("RAdam, decoupled", "RAdam", {"weight_decay": 0.03, "decoupled_weight_decay": True}),
    Case("Adadelta", "Adadelta"),
    Case("Adadelta, all, maximize", "Adadelta",
         {"rho": 0.5, "eps": 1e-3, "weight_decay": 0.01, "maximize": True}),
    Case("Rprop", "Rprop"),
    Case("Rprop, all, maximize", "Rprop", {"etas": (0.4, 1.3), "step_sizes": (1e-3, 1.0), "maximize": True}),
)  # fmt: skip

GROUPS = (
    Case("SGD, two groups", "SGD", {"momentum": 0.9, "dampening": 0.5}, {"momentum": 0.0, "weight_decay": 0.1}),
    Case("Adam, two groups", "Adam", {"amsgrad": True}, {"betas": (0.5, 0.9), "amsgrad": False, "maximize": True}),
    Case("AdamW, two groups", "AdamW", {"weight_decay": 0.03}, {"weight_decay": 0.0}),
    Case("NAdam, two groups", "NAdam", {}, {"betas": (0.5, 0.9), "momentum_decay": 0.1}),
    Case("RMSprop, two groups", "RMSprop", {"centered": True}, {"centered": False, "momentum": 0.9}),
    Case("Adagrad, two groups", "Adagrad", {}, {"lr_decay": 0.1, "initial_accumulator_value": 0.5}),
)

SCHEDULES = (
    Case("StepLR", "SGD", scheduler=partial(lr_scheduler.StepLR, step_size=7, gamma=0.5)),
    Case("MultiStepLR", "Adam", scheduler=partial(lr_scheduler.MultiStepLR, milestones=[3, 20, 20, 41], gamma=0.5)),
    Case("ExponentialLR", "AdamW", second={}, scheduler=partial(lr_scheduler.ExponentialLR, gamma=0.95)),
    Case("CosineAnnealingLR", "AdamW", scheduler=partial(lr_scheduler.CosineAnnealingLR, T_max=50, eta_min=1e-5)),
    Case("CosineAnnealingLR, and up", "SGD", scheduler=partial(lr_scheduler.CosineAnnealingLR, T_max=11)),
    Case("LinearLR", "RMSprop", scheduler=partial(lr_scheduler.LinearLR, start_factor=0.1, total_iters=20)),
    Case("ConstantLR", "Adagrad", scheduler=partial(lr_scheduler.ConstantLR, factor=0.25, total_iters=9)),
    Case("PolynomialLR", "SGD", scheduler=partial(lr_scheduler.PolynomialLR, total_iters=40, power=2.0)),
    Case("SequentialLR", "AdamW", second={}, scheduler=warmed_up),
    Case("SequentialLR, restarts", "SGD", {"momentum": 0.9}, scheduler=restarted),
    Case("CosineAnnealingWarmRestarts", "AdamW",
         scheduler=partial(lr_scheduler.CosineAnnealingWarmRestarts, T_0=7, eta_min=1e-5)),
    Case("CosineAnnealingWarmRestarts, longer", "Adam", second={},
         scheduler=partial(lr_scheduler.CosineAnnealingWarmRestarts, T_0=3, T_mult=2)),
    Case("ChainedScheduler", "AdamW", second={}, scheduler=chained),
    Case("CyclicLR, SGD", "SGD", {"momentum": 0.9}, {}, scheduler=cyclic),
    Case("CyclicLR, Adam, triangular2", "Adam", scheduler=partial(cyclic, mode="triangular2", base_momentum=0.85)),
    Case("CyclicLR, exp_range, no momentum", "RMSprop",
         scheduler=partial(cyclic, mode="exp_range", gamma=0.98, cycle_momentum=False)),
    Case("OneCycleLR, SGD", "SGD", {"momentum": 0.9}, {}, scheduler=one_cycle),
    Case("OneCycleLR, Adam", "Adam", scheduler=one_cycle),
    Case("OneCycleLR, three phases", "AdamW",
         scheduler=partial(one_cycle, three_phase=True, anneal_strategy="linear")),
    Case("OneCycleLR, no momentum", "SGD", scheduler=partial(one_cycle, cycle_momentum=False)),
    Case("LambdaLR", "AdamW", second={"weight_decay": 0.0}, scheduler=by_functions),
    Case("MultiplicativeLR", "SGD", {"momentum": 0.9},
         scheduler=partial(lr_scheduler.MultiplicativeLR, lr_lambda=lambda count: 0.9 if count % 3 else 1.1)),
)  # fmt: skip

CLIPS = (
    Case("clipped by norm", "SGD", clip=clip_norm(0.05)),
    Case("clipped by norm, Adam", "Adam", second={}, clip=clip_norm(1.0)),
    Case("clipped by the largest", "SGD", clip=clip_norm(0.5, float("inf"))),
    Case("clipped by norm of order 1", "SGD", clip=clip_norm(0.5, 1.0)),
    Case("clipped by norm of order 3", "SGD", clip=clip_norm(0.5, 3.0)),
    Case("clipped by value", "RMSprop", clip=clip_value(0.02)),
    Case("clipped, scheduled, two groups", "AdamW", {"weight_decay": 0.03}, {"weight_decay": 0.0},
         partial(lr_scheduler.CosineAnnealingLR, T_max=40), clip_norm(1.0)),
)  # fmt: skip

CASES = (*OPTIMIZERS, *GROUPS, *SCHEDULES, *CLIPS)
RATES = {"small": 1e-4, "very large": 100.0}
