"""Sequence classifiers in PyTorch: an LSTM and a GRU."""

from collections.abc import Iterable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

TOKENS, WIDTH, FEATURES, CLASSES = 20, 8, 12, 4


class Classifier(nn.Module):
    """Tokens (N, T) below 20 to logits (N, 4)."""

    def __init__(self, kind: type[nn.LSTM] | type[nn.GRU]) -> None:
        super().__init__()
        self.embedding = nn.Embedding(TOKENS, WIDTH)
        self.rnn = kind(WIDTH, FEATURES, batch_first=True)
        self.fc = nn.Linear(FEATURES, CLASSES)

    def forward(self, tokens: Tensor) -> Tensor:
        outputs, _ = self.rnn(self.embedding(tokens))
        logits: Tensor = self.fc(outputs[:, -1])
        return logits


def lstm() -> Classifier:
    return Classifier(nn.LSTM)


def gru() -> Classifier:
    return Classifier(nn.GRU)


def loss(model: nn.Module, batch: dict[str, Tensor]) -> Tensor:
    """The mean cross entropy."""
    return F.cross_entropy(model(batch["tokens"]), batch["labels"])


def optimizer(parameters: Iterable[Tensor]) -> torch.optim.Optimizer:
    return torch.optim.Adam(parameters, lr=3e-3)
