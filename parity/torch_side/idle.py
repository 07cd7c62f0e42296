"""Operations of a pass of torch's side that change nothing there: a clamp never reached, a mask that masks nothing."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.module import register_module_forward_hook, register_module_forward_pre_hook

from parity.torch_side.operations import Operations

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
FRAMES = 6
"""In how many frames of Python's around an operation a function of torch's is looked for: between stand the mode's."""
OUTSIDE = "outside of its layers"


class Idle(Operations):  # type: ignore[no-untyped-call]
    """While it is open: each such operation by name and layer, and whether it changed anything in any of its calls."""

    def __init__(self, model: object) -> None:
        super().__init__()
        modules = dict(model.named_modules()) if isinstance(model, nn.Module) else {}
        self._names = {id(module): name or "model" for name, module in modules.items()}
        parameters = model.parameters() if isinstance(model, nn.Module) else ()
        self._trained = {parameter.untyped_storage().data_ptr() for parameter in parameters}
        self._around = [OUTSIDE]
        self.changed: dict[str, bool] = {}

    def __torch_dispatch__(
        self, func: Any, types: Sequence[type], args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        named, name = kwargs or {}, _name(func)
        # An operation in place leaves nothing of what it was given.
        given = [args[0].clone(), *args[1:]] if name in OF_ONE else args
        found = func(*args, **named)
        gave = found[0] if isinstance(found, tuple) else found
        if _is_plain(gave) and gave.numel():
            for what, changed in self._asked(name, given, named, gave):
                self._told(what, changed=changed)
        return found

    def _asked(
        self, name: str, given: Sequence[Any], named: Mapping[str, Any], gave: Tensor
    ) -> Iterator[tuple[str, bool]]:
        """What of an operation may change nothing, and whether it did; nothing of most operations."""
        if name == "masked_fill" and (left_out := _left_out()) is not None:
            if left_out != IGNORED:
                yield "ignore_index", not _everywhere(given[0], gave)
        elif name in OF_ONE or name in OF_TWO:
            yield name, not any(_everywhere(one, gave) for one in given[: 1 if name in OF_ONE else 2])
        elif name in ("add", "mul") and gave.is_floating_point():
            yield name, not (self._is_fixed(given[1]) and bool((given[1] == (name == "mul")).all()))
        elif name == "where" and len(given) > 1:
            yield name, bool(given[0].any()) and not bool(given[0].all())
        elif name.startswith(ATTENTION) and (mask := _mask(given, named)) is not None:
            yield "attn_mask", bool(mask.any())
        elif name == "embedding" and len(given) > 2 and given[2] >= 0:
            yield "padding_idx", bool((given[1] == given[2]).any())
        elif name in LOSSES and given[4] != IGNORED:
            yield "ignore_index", bool((given[1] == given[4]).any())

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Meanwhile operations are told by the layer that they stand in."""
        hooks = [
            register_module_forward_pre_hook(lambda module, _: self._enter(module)),
            register_module_forward_hook(lambda *_: self._leave(), always_call=True),
        ]
        try:
            with super().watching():
                yield
        finally:
            for hook in hooks:
                hook.remove()

    def _enter(self, module: nn.Module) -> None:
        self._around.append(self._names.get(id(module), self._around[-1]))

    def _leave(self) -> None:
        self._around.pop()

    def _told(self, name: str, *, changed: bool) -> None:
        around = self._around[-1]
        place = f"{name} {around}" if around == OUTSIDE else f"{name} in {around}"
        self.changed[place] = self.changed.get(place, False) or changed

    def _is_fixed(self, operand: Any) -> bool:
        """Whether it comes from the data or a table, as a mask does: what parameters give changes with them."""
        if not _is_plain(operand) or operand.ndim == 0 or operand.requires_grad:
            return False
        return operand.untyped_storage().data_ptr() not in self._trained


def _name(operation: Any) -> str:
    """Without what tells its variants apart."""
    named: str = getattr(operation, "overloadpacket", operation).__name__
    return named.rstrip("_")


def _left_out() -> int | None:
    """The label that `cross_entropy` leaves out, where it is what asks for an operation, as it does when it smooths."""
    frame = sys._getframe(2)
    for _ in range(FRAMES):
        if frame.f_code is nn.functional.cross_entropy.__code__:
            return int(frame.f_locals["ignore_index"])
        if frame.f_back is None:
            break
        frame = frame.f_back
    return None


def _is_plain(found: Any) -> bool:
    """Whether all numbers of a tensor can be looked at: a sparse, nested or quantized one is left alone."""
    return isinstance(found, Tensor) and found.layout is torch.strided and not (found.is_nested or found.is_quantized)


def _everywhere(one: Any, gave: Tensor) -> bool:
    """Whether an operation gave one of its operands, wherever that is spread to."""
    return _is_plain(one) and one.dtype == gave.dtype and torch.equal(one.expand_as(gave), gave)


def _mask(given: Sequence[Any], named: Mapping[str, Any]) -> Tensor | None:
    """The mask that attention adds."""
    mask = named.get("attn_mask", given[3] if len(given) > 3 else None)
    return mask if isinstance(mask, Tensor) else None
