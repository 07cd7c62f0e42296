"""Torch optimizers read, refused with name and reason where there is no exact translation, and written back."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from parity import NotCheckable, read_torch_optimizer, write_torch_optimizer
from parity.pair.optimizers import Group, Schedule
from parity_tests.parity.optimizers.cases import clip_norm

Parameters = dict[str, Tensor]


def drawn() -> Parameters:
    return {name: torch.ones(shape, requires_grad=True) for name, shape in {"a": (2, 3), "b": (3,)}.items()}


def stepped(optimizer: torch.optim.Optimizer, parameters: Parameters, count: int = 1) -> None:
    for _ in range(count):
        for parameter in parameters.values():
            parameter.grad = torch.ones_like(parameter)
        optimizer.step()


def test_what_is_read_is_plain_and_needs_no_torch() -> None:
    parameters = drawn()
    groups: list[dict[str, Any]] = [
        {"params": [parameters["a"]], "weight_decay": 0, "name": "of a user"},
        {"params": [parameters["b"]]},
    ]
    optimizer = torch.optim.SGD(groups, lr=torch.tensor(0.5), momentum=0.9, foreach=False)
    scheduler = torch.optim.lr_scheduler.MultiStepLR(optimizer, [5, 3])
    read = read_torch_optimizer(optimizer, parameters, scheduler, clip_norm(2.0))
    options = {"lr": 0.5, "momentum": 0.9, "dampening": 0.0, "weight_decay": 0.0, "nesterov": False, "maximize": False}
    assert read.groups == (Group(("a",), options), Group(("b",), options))
    assert (read.kind, read.shapes, read.state) == ("SGD", {"a": (2, 3), "b": (3,)}, {})
    assert read.schedule == Schedule("MultiStepLR", {"milestones": (3, 5), "gamma": 0.1})


def test_the_rate_is_that_before_the_schedule_and_the_steps_are_counted() -> None:
    parameters = drawn()
    optimizer = torch.optim.SGD(parameters.values(), lr=1.0)
    scheduler = torch.optim.lr_scheduler.StepLR(optimizer, 1)
    for _ in range(3):
        stepped(optimizer, parameters)
        scheduler.step()
    read = read_torch_optimizer(optimizer, parameters, scheduler)
    assert (read.groups[0].options["lr"], read.state) == (1.0, {"step": np.asarray(3)})


def test_a_parameter_that_asks_for_no_gradient_is_left_out() -> None:
    parameters = drawn()
    parameters["b"].requires_grad_(False)
    read = read_torch_optimizer(torch.optim.Adam(parameters.values()), parameters)
    assert (read.shapes, read.groups[0].parameters) == ({"a": (2, 3)}, ("a",))


class Mine(torch.optim.SGD):
    pass


def with_hook(parameters: Any) -> torch.optim.Optimizer:
    optimizer = torch.optim.SGD(parameters)
    optimizer.register_step_pre_hook(lambda *_: None)
    return optimizer


def with_an_option_more(parameters: Any) -> torch.optim.Optimizer:
    optimizer = torch.optim.SGD(parameters)
    optimizer.defaults["lookahead"] = 2
    return optimizer


def of_half(parameters: Any) -> torch.optim.Optimizer:
    return torch.optim.SGD([torch.ones(2, dtype=torch.bfloat16, requires_grad=True), *parameters])


REFUSED: dict[str, tuple[Callable[[Any], torch.optim.Optimizer], str]] = {
    "LBFGS": (torch.optim.LBFGS, "LBFGS is not translated: it evaluates the loss several times a step"),
    "SparseAdam": (torch.optim.SparseAdam, "SparseAdam is not translated: it skips the rows without a gradient"),
    "ASGD": (torch.optim.ASGD, "ASGD is not translated: nobody has written it yet"),
    "NAdam, capturable": (
        partial(torch.optim.NAdam, capturable=True),
        r"NAdam\(capturable=True\): it rounds more to f",
    ),
    "NAdam, differentiable": (partial(torch.optim.NAdam, differentiable=True), r"NAdam\(differentiable=True\): it rou"),
    "a subclass": (Mine, "Mine is not a class of torch.optim: what its steps are is not known; write it in Optax"),
    "a hook": (with_hook, "SGD has hooks on its steps, which may do anything: take them off"),
    "an option": (with_an_option_more, "SGD: the option 'lookahead' of this torch is not known here"),
    "a parameter": (of_half, "SGD holds a parameter that `parameters` does not name: give all of the model's"),
}


@pytest.mark.parametrize(("make", "reason"), REFUSED.values(), ids=REFUSED)
def test_what_is_not_translated_is_refused(make: Callable[[Any], torch.optim.Optimizer], reason: str) -> None:
    parameters = drawn()
    with pytest.raises(NotCheckable, match=reason):
        read_torch_optimizer(make(list(parameters.values())), parameters)


def test_a_rate_that_is_used_once_needs_no_scheduler() -> None:
    parameters = drawn()
    optimizer = torch.optim.Rprop(parameters.values())
    with pytest.raises(NotCheckable, match="Rprop with a scheduler: it uses the rate for its first step alone"):
        read_torch_optimizer(optimizer, parameters, torch.optim.lr_scheduler.StepLR(optimizer, 1))


def test_other_dtypes_are_refused() -> None:
    parameters = {"a": torch.ones(2, dtype=torch.bfloat16, requires_grad=True)}
    with pytest.raises(NotCheckable, match=r"SGD: a is torch\.bfloat16: only float32 and float64 are translated"):
        read_torch_optimizer(torch.optim.SGD(parameters.values()), parameters)


def test_a_product_that_torch_has_loaded_is_refused() -> None:
    parameters = {name: torch.ones(2, dtype=torch.float64, requires_grad=True) for name in ("a", "b")}
    optimizer = torch.optim.NAdam(parameters.values())
    for parameter in parameters.values():
        parameter.grad = torch.ones(2, dtype=torch.float64)
    optimizer.step()
    loaded = torch.optim.NAdam(parameters.values())
    loaded.load_state_dict(optimizer.state_dict())
    with pytest.raises(NotCheckable, match="NAdam: mu_product is kept in another dtype than float32, as after load_st"):
        read_torch_optimizer(loaded, parameters)
    for held in loaded.state.values():
        held["mu_product"] = held["mu_product"].float()
    assert (
        read_torch_optimizer(loaded, parameters).state.keys()
        == read_torch_optimizer(optimizer, parameters).state.keys()
    )


def test_a_product_that_torch_would_begin_in_float64_is_refused() -> None:
    parameters = {"a": torch.ones(2, dtype=torch.float64, requires_grad=True)}
    torch.set_default_dtype(torch.float64)
    try:
        with pytest.raises(NotCheckable, match="NAdam: mu_product is kept in another dtype than float32"):
            read_torch_optimizer(torch.optim.NAdam(parameters.values()), parameters)
    finally:
        torch.set_default_dtype(torch.float32)


@pytest.mark.parametrize("kind", ["Adam", "Adagrad", "RMSprop"])
def test_a_parameter_that_had_no_gradient_is_refused(kind: str) -> None:
    parameters = drawn()
    optimizer = getattr(torch.optim, kind)(parameters.values())
    parameters["a"].grad = torch.ones(2, 3)
    optimizer.step()
    with pytest.raises(NotCheckable, match=f"{kind}: . has not taken as many steps as other parameters"):
        read_torch_optimizer(optimizer, parameters)


def test_the_state_of_sgd_tells_whether_a_dampened_buffer_has_begun() -> None:
    parameters = drawn()
    dampened = torch.optim.SGD(parameters.values(), momentum=0.9, dampening=0.1)
    assert read_torch_optimizer(dampened, parameters).state == {}
    stepped(dampened, parameters, 3)
    assert read_torch_optimizer(dampened, parameters).state["step"] == 1
    plain = torch.optim.SGD(parameters.values(), momentum=0.9)
    stepped(plain, parameters)
    assert "step" not in read_torch_optimizer(plain, parameters).state


def test_what_an_optimizer_kept_from_other_options_is_left_out() -> None:
    parameters = drawn()
    optimizer = torch.optim.SGD(parameters.values(), momentum=0.9)
    stepped(optimizer, parameters)
    optimizer.param_groups[0]["momentum"] = 0
    assert read_torch_optimizer(optimizer, parameters).state == {}


def test_a_state_is_written_only_into_an_optimizer_of_the_same_options() -> None:
    parameters = drawn()
    optimizer = torch.optim.AdamW(parameters.values())
    stepped(optimizer, parameters, 2)
    read = read_torch_optimizer(optimizer, parameters)
    copies = drawn()
    fresh = torch.optim.AdamW(copies.values())
    write_torch_optimizer(read, fresh, copies)
    assert read_torch_optimizer(fresh, copies).state.keys() == read.state.keys()
    with pytest.raises(NotCheckable, match=r"of another optimizer: AdamW: eps 1e-08 and 1e-07: make one of the same"):
        write_torch_optimizer(read, torch.optim.AdamW(copies.values(), eps=1e-7), copies)
    with pytest.raises(NotCheckable, match="of another optimizer: AdamW and Adam"):
        write_torch_optimizer(read, torch.optim.Adam(copies.values()), copies)


def test_a_fresh_state_takes_away_what_was_remembered() -> None:
    parameters = drawn()
    optimizer = torch.optim.SGD(parameters.values(), momentum=0.9)
    fresh = read_torch_optimizer(optimizer, parameters)
    stepped(optimizer, parameters)
    write_torch_optimizer(fresh, optimizer, parameters)
    assert read_torch_optimizer(optimizer, parameters).state == {}
