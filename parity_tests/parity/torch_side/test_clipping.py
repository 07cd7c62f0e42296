"""What a function does to the gradients is read from one call of it, and tried."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn.utils import clip_grad_norm_, clip_grad_value_

from parity import NotCheckable
from parity.pair.optimizers import Clip
from parity.torch_side.clipping import read_clip


def halved(parameters: list[Tensor]) -> None:
    clip_grad_norm_(parameters, 1.0)
    for parameter in parameters:
        assert parameter.grad is not None
        parameter.grad *= 0.5


def the_first_alone(parameters: list[Tensor]) -> None:
    clip_grad_norm_(parameters[:1], 1.0)


def twice(parameters: list[Tensor]) -> None:
    clip_grad_value_(parameters, 1.0)
    clip_grad_norm_(parameters, 1.0)


READ: dict[str, tuple[Callable[[list[Tensor]], Any], Clip]] = {
    "norm": (lambda parameters: clip_grad_norm_(parameters, 0.1), Clip("norm", 0.1)),
    "norm of a generator": (lambda parameters: clip_grad_norm_((p for p in parameters), 3), Clip("norm", 3.0)),
    "largest": (lambda parameters: clip_grad_norm_(parameters, 2.0, float("inf")), Clip("norm", 2.0, float("inf"))),
    "norm that is only read": (
        lambda parameters: clip_grad_norm_(parameters, float("inf")),
        Clip("norm", float("inf")),
    ),
    "norm of nothing": (lambda parameters: clip_grad_norm_(parameters, 0.0), Clip("norm", 0.0)),
    "value without a bound": (
        lambda parameters: clip_grad_value_(parameters, float("inf")),
        Clip("value", float("inf")),
    ),
    "value": (lambda parameters: torch.nn.utils.clip_grad_value_(parameters, 0.5), Clip("value", 0.5)),
}


def beside_no_bound(parameters: list[Tensor]) -> None:
    clip_grad_norm_(parameters, float("inf"))
    for parameter in parameters:
        assert parameter.grad is not None
        parameter.grad *= 0.5


REFUSED: dict[str, tuple[Callable[[list[Tensor]], Any], str]] = {
    "nothing": (lambda _: None, "clip calls clip_grad_norm_ or clip_grad_value_ 0 times: expected one call"),
    "both": (twice, "clip calls clip_grad_norm_ or clip_grad_value_ 2 times"),
    "something else": (halved, "clip does something else beside clipping by norm at 1: only that is translated"),
    "something else beside no bound": (beside_no_bound, "clip does something else beside clipping by norm at inf"),
    "a part": (the_first_alone, "clip does something else beside clipping by norm at 1"),
    "raising": (
        lambda parameters: clip_grad_norm_(parameters, 1.0, error_if_nonfinite=True),
        r"clip_grad_norm_\(error_if_nonfinite=True\): a compiled step cannot raise; leave it out",
    ),
}


@pytest.mark.parametrize(("function", "expected"), READ.values(), ids=READ)
def test_the_bound_is_read_from_the_call(function: Callable[[list[Tensor]], Any], expected: Clip) -> None:
    watching = sys.getprofile()
    assert read_clip(function) == expected
    assert sys.getprofile() is watching


@pytest.mark.parametrize(("function", "reason"), REFUSED.values(), ids=REFUSED)
def test_anything_else_is_refused(function: Callable[[list[Tensor]], Any], reason: str) -> None:
    with pytest.raises(NotCheckable, match=reason):
        read_clip(function)
