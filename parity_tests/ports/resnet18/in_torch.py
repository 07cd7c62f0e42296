"""torchvision's ResNet-18 for ten classes."""

from collections.abc import Iterable
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchvision.models import resnet18

Net = partial(resnet18, num_classes=10)
"""Images (N, 3, H, W) to logits (N, 10)."""


def loss(model: nn.Module, batch: dict[str, Tensor]) -> Tensor:
    """The mean cross entropy."""
    return F.cross_entropy(model(batch["images"]), batch["labels"])


def optimizer(parameters: Iterable[Tensor]) -> torch.optim.Optimizer:
    return torch.optim.SGD(parameters, lr=0.01, momentum=0.9, weight_decay=1e-4)
