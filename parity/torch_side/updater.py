"""Steps of torch optimizers, with what is done around them: gradients clipped before, the rate moved on after."""

from __future__ import annotations

import warnings
from collections.abc import Collection, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import numpy as np
import torch
from torch import Tensor

from parity.errors import NotCheckable
from parity.pair.optimizers import STEP
from parity.recording import Arrays
from parity.sides.blame import blame
from parity.sides.parts import Parts
from parity.torch_side.models import default_dtype
from parity.torch_side.optimizer import made, state_in, state_out
from parity.torch_side.schedules import taken, turned


class Updater:
    """The optimizers of a side, mostly one, over some parameters, begun with a state, {} where they are fresh.

    It adds `clip` and `scheduler` to `acted` once they have changed a gradient, or an option between two steps, and
    `turn` once a step shows the scheduler's last rule.

    With a scheduler the state counts the steps also where the optimizer does not: Optax's schedules do so too. The
    optimizer is handed frozen parameters and those that are `still`, too, as it is by `model.parameters()`; what it
    remembers of them is no state.
    """

    def __init__(
        self,
        parts: Parts,
        parameters: dict[str, Tensor],
        state: Arrays,
        acted: set[str],
        still: frozenset[str],
    ) -> None:
        self._parts, self._parameters, self._acted = parts, parameters, acted
        kept = parameters.keys() - parts.frozen - still
        self._remembered = {name: tensor for name, tensor in parameters.items() if name in kept}
        self._optimizers, self._schedulers = made(parts, parameters)
        self._used: set[str] = set()
        self._idle: set[str] = set()
        self._first: list[Any] | None = None
        # SGD alone does not count its steps, and would keep a count, the scheduler's or another's, as it is given it.
        without = {name: array for name, array in state.items() if name != STEP}
        counted = bool(self._schedulers) or len(self._optimizers) > 1
        with self._as_torch_counts():
            for one in self._optimizers:
                begun = without if counted and isinstance(one, torch.optim.SGD) else state
                state_in(one, parameters, begun, parameters.keys() - kept)
        if self._schedulers:
            for _ in range(int(state.get(STEP, np.zeros(())))):
                self._move_on()

    def step(self, gradients: dict[str, Tensor], without: Collection[str] = ()) -> None:
        """Move the parameters by one step, in place; those `without` a gradient torch leaves as they are."""
        for name, parameter in self._parameters.items():
            # Where the gradients come from, a frozen parameter may have one that it has not here, or none.
            parameter.grad = gradients[name] if name in self._remembered else gradients.get(name)
            if name in without or not parameter.requires_grad:
                parameter.grad = None
            elif name in self._idle:
                # With its first gradient torch begins to remember.
                for one in self._optimizers:
                    one.state.pop(parameter, None)
        self._used |= self._remembered.keys() - set(without)
        given = {id(parameter) for group in self._groups for parameter in group["params"]}
        self._idle = {
            name for name in self._remembered.keys() & set(without) - self._used if id(self._parameters[name]) in given
        }  # fmt: skip
        if self._parts.side.clip is not None:
            self._clip()
        if self._schedulers:
            self._look_at_options()
        with self._as_torch_counts(), self._remembering_nothing(), blame("torch", "optimizer"):
            for one in self._optimizers:
                one.step()
        if self._schedulers:
            self._move_on()

    @property
    def _groups(self) -> list[dict[str, Any]]:
        return [group for one in self._optimizers for group in one.param_groups]

    @contextmanager
    def _remembering_nothing(self) -> Iterator[None]:
        """Parameters that never had a gradient are 0 for a step, and so are their gradients, and are then set back.

        torch's optimizer has no memory of them, and Optax's has one from the beginning: what the step makes of nothing.

        Raises:
            NotCheckable: the step makes something of nothing, which would be lost.
        """
        held = {self._parameters[name]: self._parameters[name].detach().clone() for name in self._idle}
        # One that begins at a state with a memory moves by it, which is set back, as torch would leave it.
        anew = [name for name, own in self._parameters.items() if name in self._idle and not self._remembers(own)]
        with torch.no_grad():
            for parameter in held:
                parameter.zero_()
                parameter.grad = torch.zeros_like(parameter)
        yield
        with torch.no_grad():
            for name in anew:
                if bool(torch.any(self._parameters[name].nan_to_num())):
                    raise NotCheckable(
                        f"the torch side's optimizer moves {name}, which it is given and which has no gradient, by "
                        "itself: do not hand it to the class of torch.optim that it extends"
                    )
            for parameter, value in held.items():
                parameter.copy_(value)

    def _remembers(self, parameter: Tensor) -> bool:
        kept = [entry for one in self._optimizers for entry in one.state.get(parameter, {}).values()]
        memory = [tensor for tensor in kept if isinstance(tensor, Tensor)]
        return any(bool(torch.any(tensor)) for tensor in memory if tensor.shape == parameter.shape)

    def _clip(self) -> None:
        moving = [p for p in self._parameters.values() if p.grad is not None and "clip" not in self._acted]
        before = [p.grad.clone() for p in moving if p.grad is not None]
        self._parts.clip(list(self._parameters.values()))
        if not all(p.grad is not None and torch.equal(p.grad, g) for p, g in zip(moving, before, strict=True)):
            self._acted.add("clip")

    def _look_at_options(self) -> None:
        """Whether a step is taken with other options, rates among them, than the first one."""
        here = [
            {name: float(v) if isinstance(v, Tensor) else v for name, v in group.items() if name != "params"}
            for group in self._groups
        ]
        self._first = here if self._first is None else self._first
        if here != self._first:
            self._acted.add("scheduler")
        if "turn" not in self._acted and all(map(turned, self._schedulers)):
            self._acted.add("turn")

    def _as_torch_counts(self) -> AbstractContextManager[None]:
        """NAdam keeps a number in torch's default dtype: float32, also beside float64 parameters."""
        counting = any(isinstance(one, torch.optim.NAdam) for one in self._optimizers)
        return default_dtype("float32") if counting else nullcontext()

    def state(self) -> Arrays:
        """What the optimizers remember, as canonical arrays."""
        found: Arrays = {}
        for one in self._optimizers:
            found |= state_out(one, self._remembered)
        if not self._schedulers or STEP in found:
            return found
        return found | {STEP: np.asarray(taken(self._schedulers[0]), np.int64)}

    def _move_on(self) -> None:
        with blame("torch", "scheduler"), warnings.catch_warnings():
            # A run that goes on from a state has taken its steps before this optimizer was made.
            warnings.filterwarnings("ignore", message=r"Detected call of `lr_scheduler\.step\(\)` before", append=False)
            for one in self._schedulers:
                one.step()
