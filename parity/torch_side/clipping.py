"""What a function does to the gradients before a step, read from one call of it."""

from __future__ import annotations

import inspect
import math
import sys
from collections.abc import Callable
from types import FrameType
from typing import Any

import torch
from torch import Tensor

from parity.errors import NotCheckable
from parity.pair.optimizers import Clip

NORM, VALUE = (
    inspect.unwrap(function).__code__ for function in (torch.nn.utils.clip_grad_norm_, torch.nn.utils.clip_grad_value_)
)
SIZES = (1e-3, 1.0, 1e3)
"""Of gradients that a function is tried on, as a share of what it is said to bound."""


def read_clip(function: Callable[[list[Tensor]], Any]) -> Clip:
    """The one call of `clip_grad_norm_` or `clip_grad_value_` that the function makes.

    Raises:
        NotCheckable: it makes none or several, does something else beside it, or raises where a norm is not finite.
    """
    calls: list[tuple[Any, dict[str, Any]]] = []

    def watch(frame: FrameType, event: str, argument: object) -> None:
        if event == "call" and frame.f_code in (NORM, VALUE):
            calls.append((frame.f_code, dict(frame.f_locals)))

    before = sys.getprofile()
    sys.setprofile(watch)
    try:
        function(_parameters(1.0))
    finally:
        sys.setprofile(before)
    if len(calls) != 1:
        raise NotCheckable(
            f"clip calls clip_grad_norm_ or clip_grad_value_ {len(calls)} times: expected one call, and nothing else"
        )
    code, given = calls[0]
    if given.get("error_if_nonfinite"):
        raise NotCheckable("clip_grad_norm_(error_if_nonfinite=True): a compiled step cannot raise; leave it out")
    if code is VALUE:
        clip = Clip("value", float(given["clip_value"]))
    else:
        clip = Clip("norm", float(given["max_norm"]), float(given["norm_type"]))
    bound = clip.bound if 0 < clip.bound < math.inf else 1.0
    for size in SIZES:
        _tried(function, clip, size * bound)
    return clip


def _tried(function: Callable[[list[Tensor]], Any], clip: Clip, size: float) -> None:
    """Let the function work on gradients of this size, and torch's own beside it."""
    mine, its = _parameters(size), _parameters(size)
    function(its)
    if clip.by == "norm":
        torch.nn.utils.clip_grad_norm_(mine, clip.bound, clip.order)
    else:
        torch.nn.utils.clip_grad_value_(mine, clip.bound)
    if not all(a.grad is not None and b.grad is not None and torch.equal(a.grad, b.grad)
               for a, b in zip(mine, its, strict=True)):  # fmt: skip
        raise NotCheckable(
            f"clip does something else beside clipping by {clip.by} at {clip.bound:g}: only that is translated"
        )


def _parameters(size: float) -> list[Tensor]:
    generator = torch.Generator().manual_seed(0)
    found = []
    for shape in ((3, 2), (2,)):
        parameter = torch.zeros(shape, dtype=torch.float64, requires_grad=True)
        parameter.grad = size * torch.randn(shape, dtype=torch.float64, generator=generator)
        found.append(parameter)
    return found
