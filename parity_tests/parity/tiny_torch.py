"""The torch side of the tiny pair."""

import torch
from torch import Tensor, nn

from parity.recording import Arrays
from parity_tests.parity.tiny_draws import CLASSES, FEATURES, batches, draw_parameters, scored

__all__ = ["Tiny", "batches", "draw_parameters", "from_arrays", "loss", "optimizer", "predict", "scored", "to_arrays"]


class Tiny(nn.Module):
    """Linear, ReLU, Linear."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.Linear(FEATURES, FEATURES)
        self.outer = nn.Linear(FEATURES, CLASSES)

    def forward(self, inputs: Tensor) -> Tensor:
        found: Tensor = self.outer(torch.relu(self.inner(inputs)))
        return found


def from_arrays(parameters: Arrays, dtype: str, device: str) -> Tiny:
    model = Tiny().to(getattr(torch, dtype))
    model.load_state_dict({name: torch.from_numpy(array.copy()) for name, array in parameters.items()})
    return model


def to_arrays(model: nn.Module) -> Arrays:
    return {name: parameter.detach().numpy() for name, parameter in model.named_parameters()}


def predict(model: nn.Module, batch: dict[str, Tensor]) -> Tensor:
    found: Tensor = model(batch["inputs"])
    return found


def loss(model: nn.Module, batch: dict[str, Tensor]) -> Tensor:
    return nn.functional.cross_entropy(predict(model, batch), batch["labels"])


def optimizer(parameters: list[Tensor]) -> torch.optim.Optimizer:
    return torch.optim.Adam(parameters, lr=0.03)
