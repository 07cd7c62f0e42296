"""A `torch.optim` optimizer read into `parity.pair.optimizers.Optimizer`, and its state written back into one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from parity.errors import NotCheckable
from parity.pair.optimizers import CYCLED, FACTORS, OPTIONS, PRODUCT, STEP, Group, Optimizer, checked_state, differing
from parity.recording import Arrays, Dtype
from parity.sides.parts import Parts
from parity.torch_side.clipping import read_clip
from parity.torch_side.models import ByHand, Models, OfModule
from parity.torch_side.optimizer import made, state_in, state_out
from parity.torch_side.schedules import checked_rates, moved_on, of_groups, read_schedule, taken

WITHOUT_EFFECT = ("foreach", "fused", "capturable", "differentiable")
"""Options that say how a step is computed, and not which one it is."""
NOT_TRANSLATED = {
    "LBFGS": "it evaluates the loss several times a step, which a transformation of gradients cannot",
    "SparseAdam": "it skips the rows without a gradient, and gradients of JAX are dense",
}


def read_torch_optimizer(
    optimizer: torch.optim.Optimizer,
    parameters: Mapping[str, Tensor],
    scheduler: Any = None,
    clip: Callable[[list[Tensor]], Any] | None = None,
    steps: int | None = None,
) -> Optimizer:
    """What a torch optimizer is and remembers.

    Args:
        optimizer: of one of the classes in `parity.pair.optimizers.OPTIONS`, fresh or after any number of steps.
        parameters: by name, as `dict(model.named_parameters())`; those that ask for no gradient are left out.
        scheduler: of `torch.optim.lr_scheduler`, stepped once after every step; None: the rate stays.
        clip: `(parameters) -> None`, a call of `clip_grad_norm_` or `clip_grad_value_` before every step.
        steps: of the whole training, needed where the rate is a Python function, which is asked for each beforehand.

    Raises:
        NotCheckable: the optimizer, or something around it, has no exact translation; with its name and the reason.
    """
    kind = _kind(optimizer)
    trained = {name: parameter for name, parameter in parameters.items() if parameter.requires_grad}
    names = {id(parameter): name for name, parameter in parameters.items()}
    schedule = None if scheduler is None else read_schedule(scheduler, optimizer)
    kept = of_groups(scheduler, len(optimizer.param_groups), steps)
    read = Optimizer(
        kind,
        tuple(
            Group(_named(kind, group, names, trained), _options(kind, group | its, scheduled=schedule is not None))
            for group, its in zip(optimizer.param_groups, kept, strict=True)
        ),
        {name: tuple(parameter.shape) for name, parameter in trained.items()},
        schedule,
        None if clip is None else read_clip(clip),
    )
    read = replace(read, state=_state(read, optimizer, trained, scheduler))
    checked_state(read)
    if scheduler is not None:
        checked_rates(read, scheduler)
    return read


def write_torch_optimizer(
    read: Optimizer, optimizer: torch.optim.Optimizer, parameters: Mapping[str, Tensor], scheduler: Any = None
) -> None:
    """Put what an optimizer remembers into a new torch optimizer of the same options, and move its scheduler on.

    The parameters themselves are not written.

    Raises:
        NotCheckable: the optimizer has other options or other parameters, or its scheduler has already been stepped.
    """
    asked = max(len(group.options.get(FACTORS, ())) for group in read.groups)
    there = read_torch_optimizer(optimizer, parameters, scheduler, steps=asked - 1)
    if fault := differing(replace(read, clip=None), there):
        raise NotCheckable(f"the state is of another optimizer: {fault}: make one of the same options")
    if scheduler is not None and taken(scheduler) != 0:
        raise NotCheckable(f"{type(scheduler).__name__} has already been stepped: make a new one")
    kept = {name: array for name, array in read.state.items() if name != STEP or read.kind != "SGD"}
    trained = {name: parameter for name, parameter in parameters.items() if parameter.requires_grad}
    optimizer.state.clear()
    state_in(optimizer, trained, kept)
    if scheduler is not None:
        moved_on(scheduler, int(read.state.get(STEP, np.zeros(()))))


def entries_of(parts: Parts) -> frozenset[str]:
    """What the optimizer of a torch side remembers of a parameter, and `step` where it counts by itself.

    Raises:
        NotCheckable: it is none that is translated.
    """
    read = read_torch_optimizer(*_alone(parts)[:2])
    return frozenset((*read.entries, STEP) if read.counts else read.entries)


def _alone(parts: Parts) -> tuple[torch.optim.Optimizer, dict[str, Tensor], Any]:
    """The optimizer of a torch side before its first step, the parameters of the side, and the scheduler, if any.

    Raises:
        NotCheckable: there are several.
    """
    dtype: Dtype = "float64"
    models: Models = ByHand(parts, dtype, "cpu") if parts.side.arrays else OfModule(parts, dtype, torch.device("cpu"))
    parameters = models.parameters(models.built(parts.initial(0), training=True))
    optimizers, schedulers = made(parts, parameters)
    if len(optimizers) > 1 or len(schedulers) > 1:
        raise NotCheckable("several optimizers are not translated: put them together by optax.partition")
    return optimizers[0], parameters, schedulers[0] if schedulers else None


def optimizer_of(parts: Parts) -> Optimizer:
    """What the optimizer of a torch side is before its first step, with the side's scheduler and clipping.

    Raises:
        NotCheckable: it has no exact translation.
    """
    clip = None if parts.side.clip is None else parts.clip
    return read_torch_optimizer(*_alone(parts), clip, parts.side.tie.steps)


def _kind(optimizer: torch.optim.Optimizer) -> str:
    kind = type(optimizer).__name__
    if type(optimizer) is not getattr(torch.optim, kind, None):
        raise NotCheckable(f"{kind} is not a class of torch.optim: what its steps are is not known; write it in Optax")
    if kind not in OPTIONS:
        raise NotCheckable(f"{kind} is not translated: {NOT_TRANSLATED.get(kind, 'nobody has written it yet')}")
    if unknown := sorted({*optimizer.defaults} - {*OPTIONS[kind], *WITHOUT_EFFECT}):
        raise NotCheckable(f"{kind}: the option {unknown[0]!r} of this torch is not known here")
    if optimizer._optimizer_step_pre_hooks or optimizer._optimizer_step_post_hooks:
        raise NotCheckable(f"{kind} has hooks on its steps, which may do anything: take them off")
    if kind == "NAdam":
        _checked_product(optimizer)
    return kind


def _checked_product(optimizer: torch.optim.Optimizer) -> None:
    """Nothing, where NAdam rounds the product of its momenta to float32 and uses it as a number of Python's."""
    if asked := [name for name in ("capturable", "differentiable") if any(g[name] for g in optimizer.param_groups)]:
        raise NotCheckable(
            f"NAdam({asked[0]}=True): it rounds more to float32 then than it does otherwise; leave it out"
        )
    kept = [held[PRODUCT] for held in optimizer.state.values() if PRODUCT in held]
    if torch.get_default_dtype() != torch.float32 or any(product.dtype != torch.float32 for product in kept):
        raise NotCheckable(
            f"NAdam: {PRODUCT} is kept in another dtype than float32, as after load_state_dict, and the steps depend "
            f"on it: make it float32, state[{PRODUCT!r}] = state[{PRODUCT!r}].float(), and leave the default dtype"
        )


def _named(kind: str, group: dict[str, Any], names: dict[int, str], trained: Mapping[str, Tensor]) -> tuple[str, ...]:
    """The names of a group's trained parameters."""
    if any(id(parameter) not in names for parameter in group["params"]):
        raise NotCheckable(f"{kind} holds a parameter that `parameters` does not name: give all of the model's")
    found = [names[id(parameter)] for parameter in group["params"] if parameter.requires_grad]
    for name in found:
        if trained[name].dtype not in (torch.float32, torch.float64):
            raise NotCheckable(f"{kind}: {name} is {trained[name].dtype}: only float32 and float64 are translated")
    return tuple(found)


def _options(kind: str, group: dict[str, Any], *, scheduled: bool) -> dict[str, Any]:
    """The options of a group, as plain numbers; the rate as it was before the schedule."""
    cycled = CYCLED if scheduled and "max_lr" in group else ()
    kept = (name for name in (*cycled, FACTORS) if name in group)
    found = {name: _plain(group[name]) for name in (*OPTIONS[kind], *kept)}
    if scheduled:
        found["lr"] = _plain(group["initial_lr"])
    if "max_momentum" in found:
        # A cycle overwrites it at every step.
        if "betas" in found:
            found["betas"] = (found["max_momentum"], found["betas"][1])
        else:
            found["momentum"] = found["max_momentum"]
    return found


def _plain(value: Any) -> Any:
    if isinstance(value, tuple | list):
        return tuple(_plain(number) for number in value)
    return value if isinstance(value, bool) else float(value)


def _state(read: Optimizer, optimizer: torch.optim.Optimizer, trained: Mapping[str, Tensor], scheduler: Any) -> Arrays:
    """What the optimizer remembers, without what its options do not ask for any more."""
    found = state_out(optimizer, dict(trained))
    state = read.remembered(found) | {name: a for name, a in found.items() if name.partition(".")[0] == STEP}
    if read.kind != "SGD":
        return state
    # SGD does not count: without a scheduler all that matters to its next step is whether it has a buffer.
    count = int(bool(state) and read.starts_apart) if scheduler is None else taken(scheduler)
    return state | {STEP: np.asarray(count, np.int64)} if count else state
