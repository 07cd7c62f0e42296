"""Whether a copy of a module is the same module, with parameters of its own."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from functools import partial
from types import FunctionType
from typing import Any

import torch
from torch import Tensor, nn

from parity.errors import NotCheckable


def can_be_copied(model: nn.Module) -> bool:
    """Whether a copy of a module is the same module.

    One is not that hooks the gradient of a parameter, nor one that keeps a function with a module or a tensor in it,
    as `self.forward = torch.compile(self.forward)` does: a copy shares the function, which goes on with the original.

    Raises:
        NotCheckable: a parameter has a hook that only `backward` calls, or no shape yet; or a module is scripted.
    """
    if scripted := [name for name, module in model.named_modules() if isinstance(module, torch.jit.ScriptModule)]:
        raise NotCheckable(
            f"the torch side's {scripted[0] or 'model'} was made by torch.jit, and inside nothing is seen: give the "
            "module as it was before"
        )
    for name, parameter in model.named_parameters():
        if nn.parameter.is_lazy(parameter):
            raise NotCheckable(
                f"the torch side's {name} has no shape yet: call the model once in the function that makes it"
            )
        if parameter._post_accumulate_grad_hooks:
            raise NotCheckable(
                f"the torch side's {name} has a hook behind the accumulation of its gradient, which a check does not "
                "reach: leave the hook to the training loop"
            )
    if any(parameter._backward_hooks for parameter in model.parameters()):
        return False
    if any(_holds_original(value) for module in model.modules() for value in _kept(module)):
        return False
    try:
        copy.deepcopy(model)
    except (RuntimeError, TypeError):
        # A tensor that was computed, as torch.nn.utils.weight_norm leaves it; or what Python copies nowhere, as a lock.
        return False
    return True


def _kept(module: nn.Module) -> Iterator[Any]:
    """What a module keeps, in lists and dicts too: those of its hooks are some."""
    for value in vars(module).values():
        if isinstance(value, dict):
            yield from value.values()
        elif isinstance(value, (list, tuple)):
            yield from value
        else:
            yield value


def _holds_original(value: Any) -> bool:
    """Whether a function has a module or a tensor that a copy of it would share: in its closure, or as a default."""
    if isinstance(value, partial):
        return _holds_original(value.func)
    if not isinstance(value, FunctionType):
        return False
    defaults = (*(value.__defaults__ or ()), *(value.__kwdefaults__ or {}).values())
    return any(map(_is_original, (*_closure(value), *defaults)))


def _is_original(held: Any) -> bool:
    """Whether what a function holds is a module, a tensor, or something callable that is bound to one."""
    if isinstance(held, partial):
        return any(map(_is_original, (held.func, *held.args, *held.keywords.values())))
    owner = getattr(held, "__self__", None)
    return isinstance(held, (nn.Module, Tensor)) or isinstance(owner, nn.Module) or _holds_original(held)


def _closure(function: FunctionType) -> Iterator[Any]:
    for cell in function.__closure__ or ():
        try:
            yield cell.cell_contents
        except ValueError:  # A name that has no value yet.
            continue
