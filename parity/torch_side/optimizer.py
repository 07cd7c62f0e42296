"""A side's optimizers of `torch.optim`, one or several, and the state of one as canonical arrays, and back."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from parity.errors import NotCheckable
from parity.pair.optimizers import PRODUCT
from parity.recording import Arrays, named_after
from parity.sides.parts import Parts
from parity.torch_side.models import to_numpy


class Made(NamedTuple):
    """What moves the parameters of a torch side: the optimizers that it names, and a scheduler for some of them."""

    optimizers: list[torch.optim.Optimizer]
    schedulers: list[Any]


def made(parts: Parts, parameters: dict[str, Tensor]) -> Made:
    """The optimizers of a torch side over these parameters, and their schedulers.

    Raises:
        NotCheckable: the side's part gives something else, or two that share a parameter.
    """
    given = parts.optimizer(list(parameters.values()))
    optimizers = _each(given)
    for found in optimizers or [given]:
        if not isinstance(found, torch.optim.Optimizer):
            raise NotCheckable(
                f"the torch side's optimizer gave a {type(found).__name__}: expected one of torch.optim, or of a class "
                "of your own that extends torch.optim.Optimizer, or a list of several"
            )
    names = {id(parameter): name for name, parameter in parameters.items()}
    held = Counter(id(p) for one in optimizers for group in one.param_groups for p in group["params"])
    if shared := [names.get(parameter, "a parameter") for parameter, count in held.items() if count > 1]:
        raise NotCheckable(f"the torch side's optimizers share {shared[0]}: give each parameter to one of them")
    return Made(optimizers, [] if parts.side.scheduler is None else _each(parts.scheduler(given)))


def _each(given: Any) -> list[Any]:
    return list(given) if isinstance(given, list | tuple) else [given]


def state_out(optimizer: torch.optim.Optimizer, parameters: dict[str, Tensor]) -> Arrays:
    """Every tensor of the optimizer's state as `<entry>.<parameter>`, and `step` once where all parameters share it."""
    arrays: Arrays = {}
    steps: dict[str, int] = {}
    for name, parameter in parameters.items():
        for entry, value in optimizer.state.get(parameter, {}).items():
            if entry == "step":
                steps[name] = int(value)
            elif isinstance(value, Tensor):
                array = to_numpy(value)
                if entry == PRODUCT:
                    # Spread, as a port with other layouts, where one leaf holds several parameters, can have it, too.
                    array = np.full(parameter.shape, array, to_numpy(parameter).dtype)
                arrays[f"{entry}.{name}"] = array
    if len(set(steps.values())) == 1:
        arrays["step"] = np.asarray(next(iter(steps.values())), np.int64)
    else:
        arrays |= {f"step.{name}": np.asarray(step, np.int64) for name, step in steps.items()}
    return arrays


def state_in(
    optimizer: torch.optim.Optimizer, parameters: dict[str, Tensor], arrays: Arrays, frozen: Collection[str] = ()
) -> None:
    """Put canonical arrays into a fresh optimizer; none at all leaves it fresh, and so do `frozen` their parameters."""
    if not arrays:
        return
    names = {id(parameter): name for name, parameter in parameters.items()}
    ordered = [names[id(parameter)] for group in optimizer.param_groups for parameter in group["params"]]
    document = optimizer.state_dict()
    document["state"] = {
        index: _entries(name, arrays, list(parameters)) for index, name in enumerate(ordered) if name not in frozen
    }
    optimizer.load_state_dict(document)


def _entries(name: str, arrays: Arrays, names: list[str]) -> dict[str, Any]:
    entries: dict[str, Any] = {}
    step = arrays.get("step", arrays.get(f"step.{name}"))
    if step is not None:
        entries["step"] = torch.tensor(float(step))
    for key, array in arrays.items():
        if key != name and named_after(key, names) == name and not key.startswith("step."):
            entries[key.removesuffix(f".{name}")] = torch.from_numpy(array.copy())
    if PRODUCT in entries:
        # A number of Python's becomes the tensor that a fresh optimizer makes; a tensor would be cast to float64.
        entries[PRODUCT] = next(iter(entries[PRODUCT].flatten().tolist()), 1.0)
    return entries
