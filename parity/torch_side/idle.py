"""Operations of a pass of torch's side that change nothing there: a clamp never reached, a mask that masks nothing."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.module import register_module_forward_hook, register_module_forward_pre_hook
from torch.utils._python_dispatch import TorchDispatchMode

OF_ONE = (
    "abs", "clamp", "clamp_max", "clamp_min", "elu", "embedding_renorm", "hardtanh", "leaky_relu", "masked_fill",
    "masked_scatter", "nan_to_num", "relu", "threshold", "tril", "triu",
)  # fmt: skip
"""They change nothing where what they give is what they were given."""
OF_TWO = ("fmax", "fmin", "maximum", "minimum")
"""They change nothing where they give the one or the other of the two."""
ATTENTION = "_scaled_dot_product"
"""What the names of attention in one operation begin with, which may add a mask, its fourth tensor."""
LOSSES = ("nll_loss_forward", "nll_loss2d_forward")
IGNORED = -100
"""The label that torch's losses leave out where they are told none, and that few batches have."""
OUTSIDE = "outside of its layers"


class Idle(TorchDispatchMode):
    """While it is open: each such operation by name and layer, and whether it changed anything in any of its calls."""

    def __init__(self, model: object) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        modules = dict(model.named_modules()) if isinstance(model, nn.Module) else {}
        self._names = {id(module): name or "model" for name, module in modules.items()}
        parameters = model.parameters() if isinstance(model, nn.Module) else ()
        self._trained = {parameter.untyped_storage().data_ptr() for parameter in parameters}
        self._around: list[str] = []
        self.changed: dict[str, bool] = {}

    def __torch_dispatch__(
        self, func: Any, types: Sequence[type], args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        named, name = kwargs or {}, func.overloadpacket.__name__.rstrip("_")
        # An operation in place leaves nothing of what it was given.
        before = [args[0].clone()] if name in OF_ONE else []
        found = func(*args, **named)
        if before:
            self._told(name, changed=not torch.equal(before[0], found))
        elif name in OF_TWO:
            self._told(name, changed=not any(_everywhere(one, found) for one in args[:2]))
        elif name in ("add", "mul"):
            nothing = name == "mul"
            self._told(name, changed=not (self._is_fixed(args[1]) and bool((args[1] == nothing).all())))
        elif name == "where" and len(args) > 1:
            self._told(name, changed=bool(args[0].any()) and not bool(args[0].all()))
        elif name.startswith(ATTENTION) and (mask := _mask(args, named)) is not None:
            self._told("attn_mask", changed=bool(mask.any()))
        elif name == "embedding" and len(args) > 2 and args[2] >= 0:
            self._told("padding_idx", changed=bool((args[1] == args[2]).any()))
        elif name in LOSSES and args[4] != IGNORED:
            self._told("ignore_index", changed=bool((args[1] == args[4]).any()))
        return found

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Meanwhile operations are told by the layer that they stand in."""
        hooks = [
            register_module_forward_pre_hook(lambda module, _: self._enter(module)),
            register_module_forward_hook(lambda *_: self._leave(), always_call=True),
        ]
        try:
            with self:
                yield
        finally:
            for hook in hooks:
                hook.remove()

    def _enter(self, module: nn.Module) -> None:
        around = self._around[-1] if self._around else OUTSIDE
        self._around.append(self._names.get(id(module), around))

    def _leave(self) -> None:
        self._around.pop()

    def _told(self, name: str, *, changed: bool) -> None:
        around = self._around[-1] if self._around else OUTSIDE
        place = f"{name} {around}" if around == OUTSIDE else f"{name} in {around}"
        self.changed[place] = self.changed.get(place, False) or changed

    def _is_fixed(self, operand: Any) -> bool:
        """Whether it comes from the data or a table, as a mask does: what parameters give changes with them."""
        if not isinstance(operand, Tensor) or operand.layout is not torch.strided:
            return False
        if operand.ndim == 0 or operand.requires_grad:
            return False
        return operand.untyped_storage().data_ptr() not in self._trained


def _everywhere(one: Any, found: Tensor) -> bool:
    return isinstance(one, Tensor) and one.dtype == found.dtype and torch.equal(one.expand_as(found), found)


def _mask(given: Sequence[Any], named: Mapping[str, Any]) -> Tensor | None:
    """The mask that attention adds."""
    mask = named.get("attn_mask", given[3] if len(given) > 3 else None)
    return mask if isinstance(mask, Tensor) else None
