"""Each option of each optimizer, schedule and clipping, changed by its smallest sensible amount."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, NamedTuple

from parity.pair.optimizers import Optimizer, Schedule

BETAS = {"betas.0": (0.91, 0.999), "betas.1": (0.9, 0.998)}


class Change(NamedTuple):
    """An option of a case, or of its `schedule` or `clip`, with another value than it has there."""

    case: str
    option: str
    value: Any


def changes(case: str, **values: Any) -> list[Change]:
    return [Change(case, name.replace("__", "."), value) for name, value in values.items()]


CHANGES = [
    *changes("SGD, dampening", lr=101.0, momentum=0.901, dampening=0.301, weight_decay=1e-6, maximize=True),
    *changes("SGD, Nesterov", nesterov=False),
    *changes("Adam", lr=101.0, eps=1.1e-8, weight_decay=1e-6, amsgrad=True, maximize=True),
    *(Change("Adam", option, betas) for option, betas in BETAS.items()),
    *changes("Adam, weight decay", decoupled_weight_decay=True),
    *changes("AdamW", lr=101.0, eps=1.1e-8, weight_decay=0.0101, amsgrad=True, maximize=True),
    *(Change("AdamW", option, betas) for option, betas in BETAS.items()),
    *changes("RMSprop", lr=101.0, alpha=0.991, eps=1.1e-8, weight_decay=1e-6, centered=True, maximize=True),
    *changes("RMSprop, momentum", momentum=0.901),
    *changes("Adagrad", lr=101.0, lr_decay=1e-6, eps=1.1e-10, weight_decay=1e-6, initial_accumulator_value=1e-9,
             maximize=True),
    *changes("Adamax", lr=101.0, eps=1.1e-8, weight_decay=1e-6, maximize=True),
    *(Change("Adamax", option, betas) for option, betas in BETAS.items()),
    *changes("NAdam", lr=101.0, eps=1.1e-8, weight_decay=1e-6, momentum_decay=0.0041, maximize=True),
    *(Change("NAdam", option, betas) for option, betas in BETAS.items()),
    *changes("NAdam, decoupled", decoupled_weight_decay=False),
    *changes("RAdam", lr=101.0, eps=1.1e-8, weight_decay=1e-6, maximize=True),
    *(Change("RAdam", option, betas) for option, betas in BETAS.items()),
    *changes("RAdam, decoupled", decoupled_weight_decay=False),
    *changes("Adadelta", lr=101.0, rho=0.901, eps=1.1e-6, weight_decay=1e-6, maximize=True),
    *changes("Rprop", etas=(0.5, 1.201), maximize=True),
    *changes("Rprop, all, maximize", lr=0.1, etas=(0.401, 1.3), step_sizes=(1e-3, 1.01)),
    *changes("StepLR", schedule__step_size=8, schedule__gamma=0.501),
    *changes("MultiStepLR", schedule__milestones=(3, 20, 20, 42), schedule__gamma=0.501),
    *changes("ExponentialLR", schedule__gamma=0.951),
    *changes("CosineAnnealingLR", schedule__T_max=51, schedule__eta_min=2e-5),
    *changes("LinearLR", schedule__start_factor=0.101, schedule__end_factor=0.999, schedule__total_iters=21),
    *changes("ConstantLR", schedule__factor=0.251, schedule__total_iters=10),
    *changes("PolynomialLR", schedule__total_iters=41, schedule__power=2.001),
    *changes("SequentialLR", schedule__milestones=(8, 36), schedule__1__T_max=31),
    *changes("ChainedScheduler", schedule__0__total_iters=10, schedule__1__gamma=0.971),
    *changes("CosineAnnealingWarmRestarts", schedule__T_0=8, schedule__T_mult=2, schedule__eta_min=2e-5),
    *changes("CyclicLR, SGD", max_lr=301.0, max_momentum=0.901, base_momentum=0.801, schedule__step_size_up=6,
             schedule__step_size_down=9, schedule__mode="triangular2", schedule__cycle_momentum=False),
    *changes("CyclicLR, exp_range, no momentum", schedule__gamma=0.981),
    *changes("OneCycleLR, Adam", max_lr=301.0, min_lr=0.01, max_momentum=0.951, base_momentum=0.851,
             schedule__anneal="linear", schedule__cycle_momentum=False),
    *changes("clipped by norm", clip__bound=0.0501, clip__order=2.01, clip__by="value"),
    *changes("clipped by value", clip__bound=0.0201),
]  # fmt: skip


def altered(read: Optimizer, change: Change) -> Optimizer:
    """The optimizer with the change."""
    part, _, name = change.option.partition(".")
    if part == "schedule":
        assert read.schedule is not None
        return replace(read, schedule=_altered(read.schedule, name, change.value))
    if part == "clip":
        assert read.clip is not None
        return replace(read, clip=read.clip._replace(**{name: change.value}))
    groups = tuple(group._replace(options={**group.options, part: change.value}) for group in read.groups)
    state = {} if part == "initial_accumulator_value" else read.state
    return replace(read, groups=groups, state=state)


def _altered(schedule: Schedule, name: str, value: Any) -> Schedule:
    """The schedule, or the one of that number among those that it is made of, with another option."""
    number, _, inner = name.rpartition(".")
    if number:
        inners = list(schedule.options["schedules"])
        inners[int(number)] = _altered(inners[int(number)], inner, value)
        name, value = "schedules", tuple(inners)
    return schedule._replace(options={**schedule.options, name: value})


def named(change: Change) -> str:
    """What a verdict has to say of the change: the option and its value, in the words of torch's signature."""
    change = SMALL.get(change, change)
    part, _, name = change.option.partition(".")
    if part == "clip":
        name = {"bound": "bound", "order": "norm_type", "by": "clipping: by"}[name]
        return f"{name} {_shown(change.value)} on the jax side"
    if name == "milestones":
        return f"milestones[{len(change.value) - 1}] {change.value[-1]} on the jax side"
    value, place = change.value, name.rpartition(".")[2] if part == "schedule" else part
    if isinstance(value, tuple):
        # Of a pair of numbers the one with more digits is the one that was changed.
        digits = [len(f"{number:.6e}".partition("e")[0].rstrip("0")) for number in value]
        index = int(name) if name else digits.index(max(digits))
        place, value = f"{place}[{index}]", value[index]
    return f"{place} {_shown(value)} on the jax side"


def _shown(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


SMALL = {
    change: change._replace(value=0.0303 if change.option == "max_lr" else 0.0101)
    for change in CHANGES
    if change.option in ("lr", "max_lr") and not change.case.startswith("Rprop")
}
"""The changes of a rate that go with a rate of 0.01."""
