"""The state of a `torch.optim` optimizer as canonical arrays, and back."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import numpy as np
import torch
from torch import Tensor

from parity.optimizers import PRODUCT
from parity.recording import Arrays, named_after
from parity.torch_side.models import to_numpy


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


def nothing(optimizer: torch.optim.Optimizer, parameters: dict[str, Tensor], without: Collection[str]) -> Arrays:
    """Zeros for what would be remembered of parameters `without` a gradient so far, as Optax has from the beginning."""
    entries = dict.fromkeys(
        entry for name, parameter in parameters.items() if name not in without
        for entry, value in optimizer.state.get(parameter, {}).items()
        if isinstance(value, Tensor) and value.shape == parameter.shape and entry != "step"
    )  # fmt: skip
    return {f"{entry}.{name}": np.zeros_like(to_numpy(parameters[name])) for entry in entries for name in without}


def forget(optimizer: torch.optim.Optimizer, parameter: Tensor) -> bool:
    """Whether there is nothing to remember of a parameter; zeros that were put in for it are taken away."""
    held = optimizer.state.get(parameter, {})
    if any(bool(value.any()) for name, value in held.items() if name != "step" and isinstance(value, Tensor)):
        return False
    optimizer.state.pop(parameter, None)
    return True


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
