"""The torch side of a transformer whose blocks are scanned on the JAX side: attention and two layers in each."""

from collections.abc import Iterable

import torch
from torch import Tensor, nn

TOKENS, LENGTH, WIDTH, BLOCKS = 7, 5, 4, 3


class Block(nn.Module):
    """Attention to what came before, then two layers; each reads normed values and is added to what it read."""

    def __init__(self) -> None:
        super().__init__()
        self.before = nn.LayerNorm(WIDTH)
        self.query, self.key, self.value = (nn.Linear(WIDTH, WIDTH) for _ in range(3))
        self.behind = nn.LayerNorm(WIDTH)
        self.widen = nn.Linear(WIDTH, 2 * WIDTH)
        self.narrow = nn.Linear(2 * WIDTH, WIDTH)

    def forward(self, x: Tensor) -> Tensor:
        y = self.before(x)
        scores = self.query(y) @ self.key(y).mT / WIDTH**0.5
        hidden = torch.ones(LENGTH, LENGTH, dtype=torch.bool).triu(1)
        x = x + scores.masked_fill(hidden, -torch.inf).softmax(-1) @ self.value(y)
        found: Tensor = x + self.narrow(nn.functional.gelu(self.widen(self.behind(x))))
        return found


class Net(nn.Module):
    """Embedding, the blocks, linear."""

    def __init__(self, *, backwards: bool = False) -> None:
        super().__init__()
        self.embed = nn.Embedding(TOKENS, WIDTH)
        self.blocks = nn.ModuleList(Block() for _ in range(BLOCKS))
        self.head = nn.Linear(WIDTH, TOKENS)
        self.backwards = backwards

    def forward(self, tokens: Tensor) -> Tensor:
        x = self.embed(tokens)
        for block in reversed(self.blocks) if self.backwards else self.blocks:
            x = block(x)
        found: Tensor = self.head(x)
        return found


def loss(model: nn.Module, batch: dict[str, Tensor]) -> Tensor:
    return nn.functional.cross_entropy(model(batch["tokens"]).flatten(0, 1), batch["tokens"].roll(-1, 1).flatten())


def optimizer(parameters: Iterable[Tensor]) -> torch.optim.Optimizer:
    return torch.optim.SGD(parameters, lr=0.1)
