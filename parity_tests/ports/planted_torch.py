"""How mistakes are planted into a torch model: it is built as it should be, and then some of its parts change."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

Loss = Callable[[nn.Module, dict[str, Tensor]], Tensor]
Optimizer = Callable[[list[Tensor]], torch.optim.Optimizer]


def model(right: Callable[[], nn.Module], *changes: Callable[[nn.Module], None]) -> Callable[[], nn.Module]:
    """The factory of a model with these changes."""

    def factory() -> nn.Module:
        built = right()
        for change in changes:
            change(built)
        return built

    return factory


def have(path: str, **settings: Any) -> Callable[[nn.Module], None]:
    """The module at `path` has other settings."""

    def change(built: nn.Module) -> None:
        for name, value in settings.items():
            setattr(built.get_submodule(path), name, value)

    return change


def gives(path: str, function: Callable[[Tensor], Tensor]) -> Callable[[nn.Module], None]:
    """What the module at `path` gives is taken through `function`."""

    def change(built: nn.Module) -> None:
        built.get_submodule(path).register_forward_hook(lambda module, given, output: function(output))

    return change


def cross_entropy(inputs: str, labels: str, **options: Any) -> Loss:
    """The loss of the ports with other options, of the entries of that name."""

    def loss(model: nn.Module, batch: dict[str, Tensor]) -> Tensor:
        logits = model(batch[inputs])
        return F.cross_entropy(logits.reshape(-1, logits.shape[-1]), batch[labels].flatten(), **options)

    return loss


def clipped(right: Callable[[list[Tensor]], torch.optim.Optimizer], norm: float) -> Optimizer:
    """The optimizer, which clips all gradients together to a norm first."""

    def optimizer(parameters: list[Tensor]) -> torch.optim.Optimizer:
        built = right(parameters)

        def clip(*_: Any) -> None:
            torch.nn.utils.clip_grad_norm_(parameters, norm)

        built.register_step_pre_hook(clip)
        return built

    return optimizer


def leaving_out(right: Callable[[list[Tensor]], torch.optim.Optimizer], index: int) -> Optimizer:
    """The optimizer, which was not given the parameter of that index."""
    return lambda parameters: right([p for i, p in enumerate(parameters) if i != index % len(parameters)])
