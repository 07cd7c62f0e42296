"""Which modules a copy stands for, and that the others are built anew: what they keep goes on with the original."""

from __future__ import annotations

import copy
import threading
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from parity.errors import NotCheckable
from parity.torch_side.copied import can_be_copied


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(3, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(x)  # type: ignore[no-any-return]


def net(change: Callable[[Any], Any]) -> nn.Module:
    made = Net()
    change(made)
    return made


def wrapped(function: Callable[..., Any]) -> Callable[..., Any]:
    """A function around another one, as a compiler or a decorator makes it."""

    def around(*arguments: Any) -> Any:
        return function(*arguments)

    return around


def by_lambda(model: Any) -> None:
    model.forward = lambda x: model.fc(x)


def by_default(model: Any) -> None:
    model.forward = lambda x, layer=model.fc: layer(x)


def by_keyword(model: Any) -> None:
    def forward(x: Tensor, *, layer: nn.Module = model.fc) -> Any:
        return layer(x)

    model.forward = forward


SHARED: dict[str, Callable[[Any], Any]] = {
    "compiled": lambda model: setattr(model, "forward", torch.compile(model.forward, backend="eager")),
    "wrapped": lambda model: setattr(model, "forward", wrapped(model.forward)),
    "wrapped twice": lambda model: setattr(model, "forward", wrapped(wrapped(model.fc))),
    "lambda": by_lambda,
    "default": by_default,
    "keyword": by_keyword,
    "partial": lambda model: setattr(model, "forward", partial(wrapped(model.fc))),
    "weight": lambda model: setattr(model, "forward", wrapped(partial(lambda w, x: x @ w.T, model.fc.weight))),
    "hook": lambda model: model.fc.register_forward_hook(lambda _, __, output: output * model.fc.weight.sum()),
    "in a list": lambda model: setattr(model, "calls", [wrapped(model.fc)]),
}
OWN: dict[str, Callable[[Any], Any]] = {
    "nothing": lambda model: None,
    "a method": lambda model: setattr(model, "call", model.forward),
    "a partial of a method": lambda model: setattr(model, "call", partial(model.forward)),
    "a function": lambda model: setattr(model, "act", torch.relu),
    "a lambda": lambda model: setattr(model, "act", lambda x: x * 2),
    "a closure over a number": lambda model: setattr(model, "act", wrapped(len)),
    "a hook": lambda model: model.fc.register_forward_hook(lambda _, __, output: output * 2),
}


@pytest.mark.parametrize("change", OWN.values(), ids=OWN)
def test_a_module_with_all_its_own_is_copied(change: Callable[[Any], Any]) -> None:
    assert can_be_copied(net(change))


@pytest.mark.parametrize("change", SHARED.values(), ids=SHARED)
def test_one_that_keeps_a_function_of_the_original_is_not(change: Callable[[Any], Any]) -> None:
    assert not can_be_copied(net(change))


@pytest.mark.parametrize("change", [SHARED["wrapped"], SHARED["lambda"], SHARED["default"]])
def test_a_copy_of_it_would_go_on_with_the_parameters_of_the_original(change: Callable[[Any], Any]) -> None:
    original = net(change)
    copied = copy.deepcopy(original)
    copied(torch.ones(1, 3)).sum().backward()
    assert all(parameter.grad is None for parameter in copied.parameters())
    assert all(parameter.grad is not None for parameter in original.parameters())


def test_what_is_hooked_computed_or_locked_is_not_copied() -> None:
    assert not can_be_copied(net(lambda model: model.fc.weight.register_hook(lambda slope: slope)))
    assert not can_be_copied(net(lambda model: setattr(model, "made", model.fc.weight * 2)))
    assert not can_be_copied(net(lambda model: setattr(model, "lock", threading.Lock())))


def test_what_no_check_can_reach_is_told() -> None:
    with pytest.raises(NotCheckable, match=r"fc\.weight has a hook behind the accumulation"):
        can_be_copied(net(lambda model: model.fc.weight.register_post_accumulate_grad_hook(lambda _: None)))
    with pytest.raises(NotCheckable, match="weight has no shape yet"):
        can_be_copied(nn.LazyLinear(3))


@pytest.mark.filterwarnings("ignore:`torch.jit")
def test_what_torch_has_compiled_itself_is_told() -> None:
    traced = torch.jit.trace(nn.Linear(3, 3), torch.ones(1, 3))  # type: ignore[no-untyped-call]
    with pytest.raises(NotCheckable, match=r"the torch side's fc was made by torch\.jit, and inside nothing is seen"):
        can_be_copied(net(lambda model: setattr(model, "fc", traced)))
    with pytest.raises(NotCheckable, match=r"the torch side's model was made by torch\.jit"):
        can_be_copied(traced)
