"""The torch side of the small pair: a module as users write them, with state and dropout."""

from collections.abc import Iterable

import torch
from torch import Tensor, nn

FEATURES, HIDDEN, CLASSES = 5, 6, 3


class Small(nn.Module):
    """Linear, batch norm, ReLU, dropout, linear."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.Linear(FEATURES, HIDDEN)
        self.norm = nn.BatchNorm1d(HIDDEN)
        self.dropout = nn.Dropout(0.25)
        self.outer = nn.Linear(HIDDEN, CLASSES)

    def forward(self, inputs: Tensor) -> Tensor:
        found: Tensor = self.outer(self.dropout(torch.relu(self.norm(self.inner(inputs)))))
        return found


def loss(model: nn.Module, batch: dict[str, Tensor]) -> Tensor:
    return nn.functional.cross_entropy(model(batch["inputs"]), batch["labels"])


def optimizer(parameters: Iterable[Tensor]) -> torch.optim.Optimizer:
    return torch.optim.SGD(parameters, lr=0.1, momentum=0.9)
