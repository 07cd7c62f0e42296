"""The rates of `torch.optim.lr_scheduler`, as functions of the number of steps taken so far.

Optax's own schedules compute in float32 inside a float64 run, and none of them has torch's `T_max`, factors or phases.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from parity.jax_side.optimizer.scalars import number, power
from parity.pair.optimizers import FACTORS, Options, Schedule


def scheduled(schedule: Schedule | None, options: Options, count: jax.Array | None) -> Options:
    """The options of a group as they are after `count` steps."""
    if schedule is None or count is None:
        return options
    if schedule.kind in BY_GROUP:
        return {**options, **BY_GROUP[schedule.kind](schedule.options, options, count)}
    return {**options, "lr": RATES[schedule.kind](schedule.options, options["lr"], count)}


def step_lr(o: Options, lr: float, count: jax.Array) -> jax.Array:
    """`lr * gamma ** (count // step_size)`."""
    return lr * power(float(o["gamma"]), count // int(o["step_size"]))


def multi_step_lr(o: Options, lr: float, count: jax.Array) -> jax.Array:
    """`lr * gamma ** (milestones up to count)`."""
    reached = jnp.sum(np.asarray(o["milestones"], np.int32) <= count, dtype=jnp.int32)
    return lr * power(float(o["gamma"]), reached)


def exponential_lr(o: Options, lr: float, count: jax.Array) -> jax.Array:
    """`lr * gamma ** count`."""
    return lr * power(float(o["gamma"]), count)


def cosine_annealing_lr(o: Options, lr: float, count: jax.Array) -> jax.Array:
    """`eta_min + (lr - eta_min) * (1 + cos(pi * count / T_max)) / 2`."""
    # The cosine is that of the part of a period, since pi times a large count has few places left.
    length = int(o["T_max"])
    return _cosine(float(o["eta_min"]), lr, jnp.abs(length - count % (2 * length)), length)


def cosine_annealing_warm_restarts(o: Options, lr: float, count: jax.Array) -> jax.Array:
    """That of CosineAnnealingLR down from each restart, the first after `T_0`, each `T_mult` times as long."""
    first, longer = int(o["T_0"]), int(o["T_mult"])
    if longer == 1:
        return _cosine(float(o["eta_min"]), lr, first - count % first, first)
    lengths = [first]
    while sum(lengths) + lengths[-1] * longer <= np.iinfo(np.int32).max:
        lengths.append(lengths[-1] * longer)
    begins = np.cumsum([0, *lengths[:-1]]).astype(np.int32)
    at = jnp.sum(begins <= count) - 1
    length = jnp.asarray(lengths, jnp.int32)[at]
    return _cosine(float(o["eta_min"]), lr, length - (count - jnp.asarray(begins)[at]), length)


def _cosine(lowest: float, lr: float, left: jax.Array, length: jax.Array | int) -> jax.Array:
    """`lowest + (lr - lowest) * (1 + cos(pi * (1 - left / length))) / 2`, `left` being steps until the lowest."""
    # (1 + cos(pi - x)) / 2 is sin^2(x / 2), which loses nothing where the rate comes near its lowest.
    share = jnp.sin(np.pi / 2 * (number(left) / length)) ** 2
    return lowest + (lr - lowest) * share


def linear_lr(o: Options, lr: float, count: jax.Array) -> jax.Array:
    """`lr * (start + (end - start) * min(count, total) / total)`."""
    start, end, total = float(o["start_factor"]), float(o["end_factor"]), int(o["total_iters"])
    return lr * (start + (end - start) * (number(jnp.minimum(count, total)) / total))


def constant_lr(o: Options, lr: float, count: jax.Array) -> jax.Array:
    """`lr * factor` before `total_iters`, then `lr`."""
    return jnp.where(count < int(o["total_iters"]), number(lr * float(o["factor"])), number(lr))


def polynomial_lr(o: Options, lr: float, count: jax.Array) -> jax.Array:
    """`lr * (1 - min(count, total) / total) ** power`."""
    total = int(o["total_iters"])
    return lr * (number(total - jnp.minimum(count, total)) / total) ** float(o["power"])


def sequential_lr(o: Options, lr: float, count: jax.Array) -> jax.Array:
    """The schedules one after the other, each counting from the milestone at which it began."""
    begins = (0, *o["milestones"])
    found = number(lr)
    for begin, schedule in zip(begins, o["schedules"], strict=True):
        rate = RATES[schedule.kind](schedule.options, lr, jnp.maximum(count - begin, 0))
        found = jnp.where(count >= begin, rate, found)
    return found


def chained_scheduler(o: Options, lr: float, count: jax.Array) -> jax.Array:
    """The product of what each of the schedules makes of the rate."""
    found = number(lr)
    for schedule in o["schedules"]:
        found = found * RATES[schedule.kind](schedule.options, 1.0, count)
    return found


RATES: dict[str, Callable[[Options, float, jax.Array], jax.Array]] = {
    "StepLR": step_lr,
    "MultiStepLR": multi_step_lr,
    "ExponentialLR": exponential_lr,
    "CosineAnnealingLR": cosine_annealing_lr,
    "CosineAnnealingWarmRestarts": cosine_annealing_warm_restarts,
    "LinearLR": linear_lr,
    "ConstantLR": constant_lr,
    "PolynomialLR": polynomial_lr,
    "SequentialLR": sequential_lr,
    "ChainedScheduler": chained_scheduler,
}


def _one_cycle(o: Options, group: Options, count: jax.Array) -> dict[str, Any]:
    """Rate and momentum in the phase that the count is in; not a number beyond the last step, where torch raises."""
    phases, start = o["phases"], 0.0
    beyond = count > int(o["total_steps"])
    found = {"lr": jnp.where(beyond, jnp.nan, number(0)), "momentum": number(0)}
    begun = jnp.zeros((), bool)
    for index, (end, *names) in enumerate(phases):
        inside = ~begun & (jnp.bool_(True) if index == len(phases) - 1 else count <= end)
        share = (number(count) - start) / (end - start)
        for what, (first, last) in {"lr": names[:2], "momentum": names[2:]}.items():
            if first in group:
                way = _annealed(o["anneal"], _rate(group, first), _rate(group, last), share)
                found[what] = jnp.where(inside, found[what] + way, found[what])
        begun, start = begun | inside, end
    return _cycled(o, group, found["lr"], found["momentum"])


def _cyclic(o: Options, group: Options, count: jax.Array) -> dict[str, Any]:
    """Rate and momentum on their ways up and down, in cycles that may be lower from one to the next."""
    up, down = int(o["step_size_up"]), int(o["step_size_down"])
    cycle, place = count // (up + down), count % (up + down)
    share = jnp.where(place <= up, number(place) / up, number(up + down - place) / down)
    if o["mode"] == "triangular2":
        share = share * power(0.5, cycle)
    if o["mode"] == "exp_range":
        share = share * power(float(o["gamma"]), count)
    lowest, highest = group["lr"], float(group["max_lr"])
    least, most = group.get("base_momentum", 0.0), group.get("max_momentum", 0.0)
    return _cycled(o, group, lowest + (highest - lowest) * share, most - (most - least) * share)


def _cycled(o: Options, group: Options, lr: jax.Array, momentum: jax.Array) -> dict[str, Any]:
    """The options that a cycle sets; with Adam its first beta is the momentum."""
    if not o["cycle_momentum"]:
        return {"lr": lr}
    return {"lr": lr} | ({"betas": (momentum, group["betas"][1])} if "betas" in group else {"momentum": momentum})


def _of_table(_: Options, group: Options, count: jax.Array) -> dict[str, Any]:
    """The rate times what a function gave for the count; not a number where it was not asked."""
    factors = number(np.asarray(group[FACTORS]))
    asked = count < len(factors)
    return {"lr": jnp.where(asked, number(group["lr"]) * factors[jnp.where(asked, count, 0)], jnp.nan)}


BY_GROUP: dict[str, Callable[[Options, Options, jax.Array], dict[str, Any]]] = {
    "OneCycleLR": _one_cycle,
    "CyclicLR": _cyclic,
    "LambdaLR": _of_table,
    "MultiplicativeLR": _of_table,
}
"""Those that set the momentum beside the rate, or go by what stands in the group."""


def _rate(group: Options, name: str) -> float:
    # The rate before any schedule is what OneCycleLR calls the initial one.
    return float(group["lr" if name == "initial_lr" else name])


def _annealed(how: str, start: float, end: float, share: jax.Array) -> jax.Array:
    if how == "linear":
        return (end - start) * share + start
    return end + (start - end) * jnp.cos(np.pi / 2 * share) ** 2
