"""The state of `torch.optim` optimizers out into canonical arrays and back."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor

from parity.torch_side.optimizer import state_in, state_out
from parity_tests.parity.tiny import same

Optimizer = Callable[[list[Tensor]], torch.optim.Optimizer]
OPTIMIZERS: dict[str, Optimizer] = {
    "Adam": lambda parameters: torch.optim.Adam(parameters, lr=0.03),
    "AMSGrad": lambda parameters: torch.optim.Adam(parameters, lr=0.03, amsgrad=True),
    "AdamW": lambda parameters: torch.optim.AdamW(parameters, lr=0.03),
    "NAdam": lambda parameters: torch.optim.NAdam(parameters, lr=0.03),
    "RMSprop": lambda parameters: torch.optim.RMSprop(parameters, lr=0.03, momentum=0.9, centered=True),
    "SGD with momentum": lambda parameters: torch.optim.SGD(parameters, lr=0.03, momentum=0.9),
    "SGD": lambda parameters: torch.optim.SGD(parameters, lr=0.03),
    "two groups": lambda parameters: torch.optim.Adam([{"params": parameters[1:]}, {"params": parameters[:1]}]),
}
every_optimizer = pytest.mark.parametrize("make", OPTIMIZERS.values(), ids=OPTIMIZERS.keys())
every_dtype = pytest.mark.parametrize("dtype", [torch.float64, torch.float32], ids=str)


def drawn(dtype: torch.dtype = torch.float64) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(0)
    shapes = {"inner.weight": (3, 2), "inner.bias": (3,), "scale": ()}
    return {
        name: torch.randn(shape, dtype=dtype, generator=generator).requires_grad_() for name, shape in shapes.items()
    }


def step(optimizer: torch.optim.Optimizer, parameters: dict[str, Tensor], number: int) -> None:
    generator = torch.Generator().manual_seed(number)
    for parameter in parameters.values():
        parameter.grad = torch.randn(parameter.shape, dtype=parameter.dtype, generator=generator)
    optimizer.step()


@every_dtype
@every_optimizer
def test_a_state_comes_back_bit_for_bit_and_goes_on_as_if_it_had_never_left(
    make: Optimizer, dtype: torch.dtype
) -> None:
    parameters = drawn(dtype)
    optimizer = make(list(parameters.values()))
    for number in range(3):
        step(optimizer, parameters, number)
    out = state_out(optimizer, parameters)
    copies = {name: parameter.detach().clone().requires_grad_() for name, parameter in parameters.items()}
    fresh = make(list(copies.values()))
    state_in(fresh, copies, out)
    assert same(state_out(fresh, copies), out)
    for number in (3, 4):
        step(optimizer, parameters, number)
        step(fresh, copies, number)
    assert same(state_out(fresh, copies), state_out(optimizer, parameters))
    for name, parameter in parameters.items():
        assert torch.equal(copies[name], parameter)


@every_dtype
def test_adam_keeps_one_step_for_all_and_two_moments_for_each(dtype: torch.dtype) -> None:
    parameters = drawn(dtype)
    optimizer = OPTIMIZERS["Adam"](list(parameters.values()))
    step(optimizer, parameters, 0)
    out = state_out(optimizer, parameters)
    assert set(out) == {"step", *(f"{moment}.{name}" for moment in ("exp_avg", "exp_avg_sq") for name in parameters)}
    assert same({"step": out.pop("step")}, {"step": np.asarray(1)})
    for name, array in out.items():
        moment, _, parameter = name.partition(".")
        gradient = parameters[parameter].grad
        assert gradient is not None
        expected = 0.1 * gradient if moment == "exp_avg" else 0.001 * gradient**2
        np.testing.assert_allclose(array, expected, rtol=1e-6)
        assert array.dtype.name == str(dtype).removeprefix("torch.")


def test_an_optimizer_without_memory_has_no_state() -> None:
    parameters = drawn()
    optimizer = OPTIMIZERS["SGD"](list(parameters.values()))
    step(optimizer, parameters, 0)
    assert state_out(optimizer, parameters) == {}


def test_before_the_first_step_there_is_no_state_and_none_leaves_it_fresh() -> None:
    parameters = drawn()
    optimizer = OPTIMIZERS["Adam"](list(parameters.values()))
    assert state_out(optimizer, parameters) == {}
    state_in(optimizer, parameters, {})
    assert state_out(optimizer, parameters) == {}


def test_what_came_out_does_not_change_with_the_next_step_nor_what_went_in() -> None:
    parameters = drawn()
    optimizer = OPTIMIZERS["Adam"](list(parameters.values()))
    step(optimizer, parameters, 0)
    out = state_out(optimizer, parameters)
    kept = {name: array.copy() for name, array in out.items()}
    fresh = OPTIMIZERS["Adam"](list(parameters.values()))
    state_in(fresh, parameters, out)
    step(optimizer, parameters, 1)
    step(fresh, parameters, 1)
    assert same(out, kept)


def test_a_parameter_that_was_not_stepped_shows() -> None:
    parameters = drawn()
    optimizer = OPTIMIZERS["Adam"](list(parameters.values())[:-1])
    step(optimizer, parameters, 0)
    out = state_out(optimizer, parameters)
    assert "exp_avg.inner.bias" in out
    assert "exp_avg.scale" not in out


def test_parameters_that_are_not_at_the_same_step_have_a_step_each() -> None:
    parameters = drawn()
    optimizer = OPTIMIZERS["Adam"](list(parameters.values()))
    step(optimizer, parameters, 0)
    parameters["scale"].grad = None
    optimizer.step()
    out = state_out(optimizer, parameters)
    assert {name: int(out[name]) for name in out if name.startswith("step")} == {
        "step.inner.weight": 2,
        "step.inner.bias": 2,
        "step.scale": 1,
    }
    fresh = OPTIMIZERS["Adam"](list(parameters.values()))
    state_in(fresh, parameters, out)
    assert same(state_out(fresh, parameters), out)


def test_what_is_remembered_of_a_frozen_parameter_is_not_taken_over() -> None:
    parameters = drawn()
    optimizer = torch.optim.Adam(list(parameters.values()))
    step(optimizer, parameters, 0)
    out = state_out(optimizer, parameters)
    fresh = torch.optim.Adam(list(parameters.values()))
    state_in(fresh, parameters, out, frozen={"inner.bias"})
    expected = {name: array for name, array in out.items() if not name.endswith("inner.bias")}
    assert same(state_out(fresh, parameters), expected)


def test_what_is_remembered_of_a_parameter_that_the_optimizer_lacks_is_no_others() -> None:
    parameters = {"a.weight": torch.ones(2), "b.a.weight": torch.ones(2)}
    optimizer = torch.optim.Adam([parameters["a.weight"]])
    given = {f"{entry}.{name}": np.full(2, 3.0, "f") for entry in ("exp_avg", "exp_avg_sq") for name in parameters}
    state_in(optimizer, parameters, given | {"step": np.asarray(1)})
    assert optimizer.state[parameters["a.weight"]].keys() == {"step", "exp_avg", "exp_avg_sq"}
