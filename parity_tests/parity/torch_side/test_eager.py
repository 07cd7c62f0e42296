"""What would be computed again on the way back is called once, by whatever name; and compiled code is not."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint, checkpoint_sequential

from parity.torch_side.eager import eagerly


def sequence(function: Callable[[Tensor], Tensor], x: Tensor, use_reentrant: bool) -> Any:
    return checkpoint_sequential([function], 1, x, use_reentrant=use_reentrant)  # type: ignore[no-untyped-call]


WAYS: dict[str, Callable[..., Any]] = {
    "reentrant": partial(checkpoint, use_reentrant=True),
    "not reentrant": partial(checkpoint, use_reentrant=False),
    "by its module": lambda function, x: torch.utils.checkpoint.checkpoint(function, x, use_reentrant=False),
}


def calls_and_gradient(way: Callable[..., Any]) -> tuple[int, Tensor]:
    """How often a function is called on the way there and back, and the gradient by what comes to it."""
    calls: list[int] = []

    def function(x: Tensor) -> Tensor:
        calls.append(1)
        return x.exp() * x.sin()

    x = torch.linspace(0.5, 1.5, 4, dtype=torch.float64).requires_grad_()
    way(function, x * 2).square().sum().backward()
    assert x.grad is not None
    return len(calls), x.grad


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
def test_what_would_be_computed_again_is_called_once_and_has_the_same_gradient(way: Callable[..., Any]) -> None:
    _, expected = calls_and_gradient(lambda function, x: function(x))
    with eagerly():
        once, gradient = calls_and_gradient(way)
    assert once == 1
    assert torch.equal(gradient, expected)
    # Otherwise, and afterwards, it is what it was.
    assert calls_and_gradient(way)[0] == 2


def test_the_reentrant_form_can_be_differentiated_by_anything() -> None:
    x = torch.ones(3, requires_grad=True)
    with eagerly():
        (slope,) = torch.autograd.grad(checkpoint(torch.exp, x, use_reentrant=True).sum(), x)
    assert torch.equal(slope, x.exp())


def test_keywords_and_sequences_are_handed_on() -> None:
    def scaled(x: Tensor, scale: float) -> Tensor:
        return x * scale

    x = torch.ones(3, requires_grad=True)
    with eagerly():
        assert torch.equal(checkpoint(scaled, x, scale=3.0, use_reentrant=False), 3 * x)
        for use_reentrant in (True, False):
            assert torch.equal(sequence(torch.exp, x, use_reentrant), x.exp())


def test_compiled_code_runs_as_it_was_written() -> None:
    layer, calls = torch.nn.Linear(3, 2), []
    layer.register_forward_hook(lambda *_: calls.append(1))
    compiled: list[int] = []

    def backend(graph: Any, _: Any) -> Any:
        compiled.append(1)
        return graph.forward

    model = torch.compile(torch.nn.Sequential(layer, torch.nn.ReLU()), backend=backend)
    x = torch.ones(4, 3)
    with eagerly():
        assert torch.equal(model(x), layer(x).relu())
    assert (compiled, len(calls)) == ([], 2)
    model(x)
    assert compiled == [1]
