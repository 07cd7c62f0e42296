"""The torch side of the scanned pair: a stack of blocks of one width, each a module of its own."""

from collections.abc import Iterable

import torch
from torch import Tensor, nn

FEATURES, WIDTH, CLASSES, BLOCKS = 3, 4, 2, 3


class Block(nn.Module):
    """Norm, linear, tanh, linear, beside what it was given."""

    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(WIDTH)
        self.widen = nn.Linear(WIDTH, 2 * WIDTH)
        self.narrow = nn.Linear(2 * WIDTH, WIDTH)
        self.mix = nn.Linear(WIDTH, WIDTH)

    def forward(self, x: Tensor) -> Tensor:
        found: Tensor = x + self.mix(self.narrow(torch.tanh(self.widen(self.norm(x)))))
        return found


class Net(nn.Module):
    """Linear, the blocks, linear."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Linear(FEATURES, WIDTH)
        self.blocks = nn.ModuleList(Block() for _ in range(BLOCKS))
        self.head = nn.Linear(WIDTH, CLASSES)

    def forward(self, inputs: Tensor) -> Tensor:
        x = self.embed(inputs)
        for block in self.blocks:
            x = block(x)
        found: Tensor = self.head(x)
        return found


def loss(model: nn.Module, batch: dict[str, Tensor]) -> Tensor:
    return nn.functional.cross_entropy(model(batch["inputs"]), batch["labels"])


def optimizer(parameters: Iterable[Tensor]) -> torch.optim.Optimizer:
    return torch.optim.Adam(parameters, lr=0.01)
