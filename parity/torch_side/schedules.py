"""Schedulers of torch whose rates are known beforehand, read into `parity.pair.optimizers.Schedule`."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable
from itertools import accumulate
from operator import mul
from typing import Any

import numpy as np
import torch

from parity.errors import NotCheckable
from parity.pair.optimizers import FACTORS, STEP, STEP_COUNTS, Optimizer, Schedule

OPTIONS: dict[str, tuple[str, ...]] = {
    "StepLR": ("step_size", "gamma"),
    "MultiStepLR": ("milestones", "gamma"),
    "ExponentialLR": ("gamma",),
    "CosineAnnealingLR": ("T_max", "eta_min"),
    "CosineAnnealingWarmRestarts": ("T_0", "T_mult", "eta_min"),
    "LinearLR": ("start_factor", "end_factor", "total_iters"),
    "ConstantLR": ("factor", "total_iters"),
    "PolynomialLR": ("total_iters", "power"),
    "OneCycleLR": ("total_steps", "cycle_momentum"),
    "CyclicLR": ("mode", "cycle_momentum"),
    "SequentialLR": (),
    "ChainedScheduler": (),
    "LambdaLR": (),
    "MultiplicativeLR": (),
}
"""The schedulers that are translated, with the options that say which rates they give."""
FUNCTIONS = ("LambdaLR", "MultiplicativeLR")
"""Those that ask a function of Python for each group, of which a table is made."""
NOT_TRANSLATED = {
    "ReduceLROnPlateau": "its rate depends on the losses, which a transformation of gradients does not see",
}
MULTIPLY = ("StepLR", "MultiStepLR", "ExponentialLR", "LinearLR", "ConstantLR", "PolynomialLR")
"""Those that multiply whatever rate there is, so that torch's chain of them is a product."""
TURNS = {
    "StepLR": ("step_size", 0),
    "ConstantLR": ("total_iters", 0),
    "LinearLR": ("total_iters", 1),
    "CosineAnnealingWarmRestarts": ("T_0", 0),
    "CyclicLR": ("total_size", 1),
}
"""Those that go over to another rule, what says after how many steps, and how many more until the rate shows it."""
FAR = tuple(sorted({first << power for first in (2, 3) for power in range(17)}))
"""Counts of steps at which a function of Python is asked for its rate, as far as a training may go."""
ANY_RATE = 1 / 3
"""A rate that a factor in lower precision than float64 would round."""
NEAR = 1e-9
"""How near the rate of a scheduler, multiplied up step by step, is to its closed form, as a share of the first rate."""


def read_schedule(scheduler: Any, optimizer: torch.optim.Optimizer) -> Schedule:
    """A scheduler by its closed form, or as one whose factors stand in the groups.

    Raises:
        NotCheckable: it is neither, or its options are of a kind for which torch leaves the closed form.
    """
    kind = type(scheduler).__name__
    if isinstance(optimizer, torch.optim.Rprop):
        raise NotCheckable("Rprop with a scheduler: it uses the rate for its first step alone; leave the scheduler out")
    if type(scheduler) is not getattr(torch.optim.lr_scheduler, kind, None):
        raise NotCheckable(f"{kind} is not a class of torch.optim.lr_scheduler: write it as an Optax schedule")
    if kind not in OPTIONS:
        raise NotCheckable(f"{kind} is not translated: {NOT_TRANSLATED.get(kind, 'nobody has written it yet')}")
    if scheduler.optimizer is not optimizer:
        raise NotCheckable(f"{kind} belongs to another optimizer")
    options = {name: getattr(scheduler, name) for name in OPTIONS[kind]}
    if kind == "MultiStepLR":
        options["milestones"] = tuple(sorted(scheduler.milestones.elements()))
    if kind == "SequentialLR":
        options |= _sequence(scheduler, optimizer)
    if kind == "ChainedScheduler":
        options |= _chain(scheduler, optimizer)
    if kind == "CyclicLR":
        options |= _cycle(scheduler)
    if kind == "OneCycleLR":
        options |= {"phases": _phases(scheduler), "anneal": scheduler._anneal_func_type}
    for name in {*STEP_COUNTS} & options.keys():
        _whole(kind, name, options[name], at_least=1)
    for milestone in options.get("milestones", ()):
        _whole(kind, "milestones", milestone, at_least=0 if kind == "MultiStepLR" else 1)
    return Schedule(kind, options)


def _whole(kind: str, name: str, value: Any, *, at_least: int) -> None:
    if value != int(value) or value < at_least:
        raise NotCheckable(
            f"{kind}: {name} is {value}: torch keeps to the closed form for whole numbers from {at_least}"
        )


def _sequence(scheduler: Any, optimizer: torch.optim.Optimizer) -> dict[str, Any]:
    """The schedules that follow each other, and the counts at which one gives way to the next."""
    inner = tuple(read_schedule(one, optimizer) for one in scheduler._schedulers)
    if odd := [one.kind for one in inner if one.kind in ("OneCycleLR", "CyclicLR", "SequentialLR", "ChainedScheduler")]:
        raise NotCheckable(f"SequentialLR: {odd[0]} in a sequence is not translated: torch begins it in another way")
    if odd := [one.kind for one in inner if one.kind in FUNCTIONS]:
        raise NotCheckable(f"SequentialLR: {odd[0]} in a sequence is not translated: have its function do all of it")
    return {"milestones": tuple(scheduler._milestones), "schedules": inner}


def _chain(scheduler: Any, optimizer: torch.optim.Optimizer) -> dict[str, Any]:
    """The schedules that multiply one rate."""
    inner = tuple(read_schedule(one, optimizer) for one in scheduler._schedulers)
    if odd := [one.kind for one in inner if one.kind not in MULTIPLY]:
        raise NotCheckable(
            f"ChainedScheduler: {odd[0]} in a chain is not translated: its next rate depends on what the others made "
            "of the one before, and there is no closed form"
        )
    return {"schedules": inner}


def _cycle(scheduler: Any) -> dict[str, Any]:
    """The lengths of the ways up and down, and what makes the cycles lower."""
    if scheduler._scale_fn_custom is not None:
        raise NotCheckable("CyclicLR: its scale_fn is a Python function: write it with jax.numpy, as an Optax schedule")
    up = scheduler.total_size * scheduler.step_ratio
    lengths = {"step_size_up": up, "step_size_down": scheduler.total_size - up}
    for name, length in lengths.items():
        # The share of a whole number in a sum, times the sum, is off by rounding.
        lengths[name] = round(length) if abs(length - round(length)) < NEAR * scheduler.total_size else length
    return lengths | ({"gamma": scheduler.gamma} if scheduler.mode == "exp_range" else {})


def taken(scheduler: Any) -> int:
    """How often a scheduler has been stepped."""
    # A chain does not count itself.
    return int((scheduler if hasattr(scheduler, "last_epoch") else scheduler._schedulers[0]).last_epoch)


def last_turn(scheduler: Any) -> int:
    """After how many steps the rate shows the last rule of a scheduler of torch's; 0 if it has one, or none is known.

    Of one that goes on and on, such as StepLR, it is the first time. What ends with the training has one rule.
    """
    kind = type(scheduler).__name__
    if type(scheduler) is not getattr(torch.optim.lr_scheduler, kind, None):
        return 0
    if kind == "SequentialLR":
        # Where one gives way to the next, the rate is often that of both.
        return int(scheduler._milestones[-1]) + max(1, last_turn(scheduler._schedulers[-1]))
    if kind == "ChainedScheduler":
        return max(map(last_turn, scheduler._schedulers))
    if kind == "MultiStepLR":
        return max(scheduler.milestones.elements(), default=0)
    if kind == "OneCycleLR":
        return int(scheduler._schedule_phases[-2]["end_step"]) + 1
    name, later = TURNS.get(kind, ("", 0))
    return int(getattr(scheduler, name, 0)) + later


def turned(scheduler: Any) -> bool:
    """Whether the rate has shown the last rule of a scheduler of torch's, where it has one that is known.

    A function of Python says nothing of its rules: most are a warm-up and what follows. Where its factors have lain on
    one line so far, and later do not, the rest of it was not seen.
    """
    seen = taken(scheduler)
    functions = getattr(scheduler, "lr_lambdas", ()) if type(scheduler) is torch.optim.lr_scheduler.LambdaLR else ()
    straight = [f for f in functions if _is_straight(f, range(seen + 1))]
    return seen >= last_turn(scheduler) and all(_is_straight(function, FAR) for function in straight)


def _is_straight(function: Callable[[int], float], counts: Iterable[int]) -> bool:
    """Whether the factors at these counts lie on the line through the first two."""
    try:
        start, slope = float(function(0)), float(function(1)) - float(function(0))
        for count in counts:
            far = abs(float(function(count)) - (start + count * slope))
            if far > NEAR * (abs(start) + count * abs(slope)):
                return False
    except Exception:
        return True
    return True


def of_groups(scheduler: Any, groups: int, steps: int | None) -> list[dict[str, Any]]:
    """What a scheduler itself keeps for each group of the optimizer: CyclicLR its highest rate, a function its factors.

    Raises:
        NotCheckable: it has a function of Python, and for how many `steps` is not said; or the function fails.
    """
    if type(scheduler).__name__ in FUNCTIONS:
        return [{FACTORS: _factors(scheduler, function, steps)} for function in scheduler.lr_lambdas]
    return [{"max_lr": rate} for rate in getattr(scheduler, "max_lrs", ())] or [{}] * groups


def _factors(scheduler: Any, function: Callable[[int], Any] | None, steps: int | None) -> tuple[float, ...]:
    """By what a function multiplies the rate in each of so many steps, and in one after them, for which torch asks."""
    kind = type(scheduler).__name__
    if steps is None:
        raise NotCheckable(f"{kind}: its rate is a Python function, of which a table is made: say for how many `steps`")
    product = kind == "MultiplicativeLR"
    if function is None:
        return (1.0,) * (steps + 1)
    asked = range(int(product), steps + 1)  # Torch asks for no product before the first step.
    given = [_factor(kind, function, count) for count in asked]
    if again := [count for count, before in zip(asked, given, strict=True) if _factor(kind, function, count) != before]:
        raise NotCheckable(
            f"{kind}: its function gives another number for {again[0]} when it is asked again, as one that counts its "
            "calls does: have it depend on the number that it is given alone"
        )
    return tuple(accumulate([1.0, *given], mul)) if product else tuple(given)


def _factor(kind: str, function: Callable[[int], Any], count: int) -> float:
    """What a function gives, as a number that makes the rate that torch makes of it."""
    try:
        given = function(count)
        factor = float(given)
    except Exception as error:
        raise NotCheckable(f"{kind}: its function fails for {count}: {type(error).__name__}: {error}") from error
    if float(ANY_RATE * given) != ANY_RATE * factor:
        raise NotCheckable(
            f"{kind}: its function gives {type(given).__name__} for {count}, with which torch computes the rate in "
            "lower precision than float64: have it return float(...)"
        )
    return factor


def _phases(scheduler: Any) -> tuple[tuple[float, str, str, str, str], ...]:
    names = ("start_lr", "end_lr", "start_momentum", "end_momentum")
    return tuple((float(p["end_step"]), *(p[name] for name in names)) for p in scheduler._schedule_phases)


def checked_rates(read: Optimizer, scheduler: Any) -> None:
    """Nothing, where the rates are those of the schedule after as many steps as the optimizer has taken.

    Raises:
        NotCheckable: somebody changed a rate, or the scheduler is not stepped after every step.
    """
    kind, steps = type(scheduler).__name__, int(read.state.get(STEP, np.zeros(())))
    if steps != taken(scheduler):
        raise NotCheckable(
            f"{kind} has been stepped {taken(scheduler)} times and {read.kind} {steps} times: a schedule of Optax "
            "moves on with every step; step the scheduler after each, with its lengths in steps"
        )
    rates = [float(group["lr"]) for group in scheduler.optimizer.param_groups]
    for rate, known, group in zip(rates, _known_rates(read, scheduler, steps), read.groups, strict=True):
        if abs(rate - known) > NEAR * abs(group.options["lr"]):
            raise NotCheckable(
                f"{kind}: the rate is {rate:g} and by its closed form {known:g}: somebody else changes it too, "
                "by hand or with another scheduler"
            )


def _known_rates(read: Optimizer, scheduler: Any, steps: int) -> list[float]:
    """The rate of each group after so many steps, by the closed form or by the table of a function."""
    factors = [group.options.get(FACTORS, ()) for group in read.groups]
    if any(steps < len(table) for table in factors):
        return [group.options["lr"] * table[steps] for group, table in zip(read.groups, factors, strict=True)]
    return [float(rate) for rate in getattr(scheduler, "_get_closed_form_lr", scheduler.get_last_lr)()]


def moved_on(scheduler: Any, steps: int) -> None:
    """Step a new scheduler so often."""
    with warnings.catch_warnings():
        # The steps were taken before this optimizer was made.
        warnings.filterwarnings("ignore", message=r"Detected call of `lr_scheduler\.step\(\)` before", append=False)
        for _ in range(steps):
            scheduler.step()
