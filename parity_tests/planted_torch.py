"""Mistakes planted into a torch side: each function takes the right part of a side and gives the wrong one."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from unittest import mock

import torch
from torch import Tensor, nn
from torch.nn import functional

from parity.recording import Arrays
from parity.torch_side.layers import rounded

LayerChange = Callable[[nn.Linear, Tensor, Tensor], Tensor]
"""(layer, its input, its right output) -> its wrong output."""


def changed_layer(right: Callable[..., nn.Module], layer: str, change: LayerChange) -> Callable[..., nn.Module]:
    """A model whose layer of that name gives another output."""

    def model(parameters: Arrays, dtype: str, device: str) -> nn.Module:
        built = right(parameters, dtype, device)
        built.get_submodule(layer).register_forward_hook(lambda module, given, output: change(module, given[0], output))
        return built

    return model


def without_bias(layer: nn.Linear, given: Tensor, output: Tensor) -> Tensor:
    return output - layer.bias


def in_float32(layer: nn.Linear, given: Tensor, output: Tensor) -> Tensor:
    return output.to(torch.float32).to(output.dtype)


def with_nan(layer: nn.Linear, given: Tensor, output: Tensor) -> Tensor:
    mask = torch.zeros_like(output)
    mask.view(-1)[0] = float("nan")
    return output + mask


def in_tf32(layer: nn.Linear, given: Tensor, output: Tensor) -> Tensor:
    """What a product with 10 mantissa bits gives, where float32 was meant."""
    if output.dtype != torch.float32:
        return output
    return functional.linear(rounded(given, 10), rounded(layer.weight, 10), layer.bias)


def without_relu(right: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """A loss or prediction computed where every ReLU lets everything pass."""

    def function(*arguments: Any) -> Tensor:
        with _relu_is_identity():
            return right(*arguments)

    return function


@contextmanager
def _relu_is_identity() -> Iterator[None]:
    with mock.patch.object(torch, "relu", _identity), mock.patch.object(functional, "relu", _identity):
        yield


def _identity(tensor: Tensor) -> Tensor:
    return tensor


def option(right: Callable[..., torch.optim.Optimizer], **factors: float) -> Callable[..., torch.optim.Optimizer]:
    """An optimizer some of whose options are multiplied by a factor, such as `lr=1.01`."""

    def optimizer(parameters: list[Tensor]) -> torch.optim.Optimizer:
        built = right(parameters)
        for group in built.param_groups:
            group.update({name: group[name] * factor for name, factor in factors.items()})
        return built

    return optimizer


def leaving_out_last(right: Callable[..., torch.optim.Optimizer]) -> Callable[..., torch.optim.Optimizer]:
    """An optimizer that was not given the last parameter."""
    return lambda parameters: right(list(parameters)[:-1])


class WrongAdam(torch.optim.Adam):
    """Adam whose bias corrections come out of `correction`, (beta, step) -> number."""

    correction: Callable[[float, int], float]

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:  # type: ignore[override]
        for group in self.param_groups:
            beta1, beta2 = group["betas"]
            for parameter in group["params"]:
                state = self.state[parameter]
                if not state:
                    zeros = torch.zeros_like(parameter)
                    state.update(step=torch.tensor(0.0), exp_avg=zeros.clone(), exp_avg_sq=zeros.clone())
                state["step"] += 1
                state["exp_avg"].lerp_(parameter.grad, 1 - beta1)
                state["exp_avg_sq"].mul_(beta2).addcmul_(parameter.grad, parameter.grad, value=1 - beta2)
                first, second = (type(self).correction(beta, int(state["step"])) for beta in (beta1, beta2))
                denominator = (state["exp_avg_sq"] / second).sqrt() + group["eps"]
                parameter -= group["lr"] * (state["exp_avg"] / first) / denominator


class AdamWithoutCorrection(WrongAdam):
    """Adam without bias correction."""

    correction = staticmethod(lambda beta, step: 1.0)


class AdamCountingInFloat32(WrongAdam):
    """Adam that takes its step counter, and with it the corrections, in float32."""

    correction = staticmethod(lambda beta, step: float(1 - torch.tensor(beta) ** torch.tensor(float(step))))


def other_optimizer(kind: type[WrongAdam]) -> Callable[..., torch.optim.Optimizer]:
    """The optimizer of the nets, rate 0.03, as `kind`."""
    return lambda parameters: kind(list(parameters), lr=0.03)
