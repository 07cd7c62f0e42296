"""The torch side of the plain pair: two linear layers, one of them square, beside a function of its parameters."""

from collections.abc import Iterable

import torch
from torch import Tensor, nn

FEATURES, CLASSES = 5, 3


class Plain(nn.Module):
    """Linear, tanh, linear."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.Linear(FEATURES, FEATURES)
        self.outer = nn.Linear(FEATURES, CLASSES)

    def forward(self, inputs: Tensor) -> Tensor:
        found: Tensor = self.outer(torch.tanh(self.inner(inputs)))
        return found


def loss(model: nn.Module, batch: dict[str, Tensor]) -> Tensor:
    return nn.functional.cross_entropy(model(batch["inputs"]), batch["labels"])


def optimizer(parameters: Iterable[Tensor]) -> torch.optim.Optimizer:
    return torch.optim.Adam(parameters, lr=0.03)
