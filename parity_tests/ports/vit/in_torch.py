"""torchvision's VisionTransformer, a small one."""

from collections.abc import Iterable

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchvision.models import VisionTransformer


class Net(VisionTransformer):  # type: ignore[misc]
    """Images (N, 3, 32, 32) to logits (N, 10).

    torchvision begins with a head of zeros. Behind it every gradient is zero, which no port can get wrong, so the head
    is drawn as torch draws it elsewhere.
    """

    def __init__(self) -> None:
        super().__init__(
            image_size=32, patch_size=8, num_layers=2, num_heads=4, hidden_dim=32, mlp_dim=64, num_classes=10
        )
        for layer in self.heads:
            layer.reset_parameters()


def loss(model: nn.Module, batch: dict[str, Tensor]) -> Tensor:
    """The mean cross entropy."""
    return F.cross_entropy(model(batch["images"]), batch["labels"])


def optimizer(parameters: Iterable[Tensor]) -> torch.optim.Optimizer:
    return torch.optim.AdamW(parameters, lr=1e-3, weight_decay=0.01)
