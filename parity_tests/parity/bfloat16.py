"""A pair that declares bfloat16, and mistakes that its sides make there only."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import jax
import jax.numpy as jnp
import optax
import torch
from flax import nnx
from torch import Tensor, nn

from parity import Pair, random_batches
from parity.recording import DTYPES

FEATURES, HIDDEN, VALUES = 12, 16, 4
RATE = 0.1
BATCHES = random_batches(inputs=(16, FEATURES), target=(16, VALUES), steps=3)
STAGES = ("forward", "loss", "backward", "update", "trajectory")


def as_it_is(array: Any) -> Any:
    return array


class TorchNet(nn.Module):
    """Linear, ReLU, linear; `given` and `hidden` are done to what goes into either."""

    given: Callable[[Any], Any] = staticmethod(as_it_is)
    hidden: Callable[[Any], Any] = staticmethod(torch.relu)

    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.Linear(FEATURES, HIDDEN)
        self.outer = nn.Linear(HIDDEN, VALUES)

    def forward(self, inputs: Tensor) -> Tensor:
        found: Tensor = self.outer(self.hidden(self.inner(self.given(inputs))))
        return found


class JaxNet(nnx.Module):
    """The same."""

    given: Callable[[Any], Any] = staticmethod(as_it_is)
    hidden: Callable[[Any], Any] = staticmethod(nnx.relu)

    def __init__(self, rngs: nnx.Rngs) -> None:
        self.inner = nnx.Linear(FEATURES, HIDDEN, rngs=rngs)
        self.outer = nnx.Linear(HIDDEN, VALUES, rngs=rngs)

    def __call__(self, inputs: jax.Array) -> jax.Array:
        return self.outer(self.hidden(self.inner(self.given(inputs))))


def torch_net(**done: Callable[[Any], Any]) -> type[TorchNet]:
    """The torch side's model with something else done in it."""
    return type("TorchNet", (TorchNet,), {name: staticmethod(function) for name, function in done.items()})


def jax_net(**done: Callable[[Any], Any]) -> type[JaxNet]:
    """The JAX side's likewise."""
    return type("JaxNet", (JaxNet,), {name: staticmethod(function) for name, function in done.items()})


def torch_loss(model: nn.Module, batch: dict[str, Tensor]) -> Tensor:
    return nn.functional.mse_loss(model(batch["inputs"]), batch["target"])


def jax_loss(model: Any, batch: dict[str, jax.Array]) -> jax.Array:
    return jnp.mean((model(batch["inputs"]) - batch["target"]) ** 2)


def torch_adam(parameters: Iterable[Tensor]) -> torch.optim.Optimizer:
    return torch.optim.Adam(parameters, lr=RATE)


def bfloat16_pair(torch: dict[str, Any] | None = None, jax: dict[str, Any] | None = None, **others: Any) -> Pair:
    """The pair, some parts of its sides replaced."""
    sides: dict[str, dict[str, Any]] = {
        "torch": {"model": TorchNet, "loss": torch_loss, "optimizer": torch_adam},
        "jax": {"model": JaxNet, "loss": jax_loss, "optimizer": lambda: optax.adam(RATE)},
    }
    given = {
        "name": "made",
        "batches": BATCHES,
        "stages": STAGES,
        "dtypes": DTYPES,
    } | others
    return Pair(torch=sides["torch"] | (torch or {}), jax=sides["jax"] | (jax or {}), **given)


def there_only(wrong: Callable[[Any], Any], right: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """`wrong` in bfloat16, `right` in every other dtype."""
    return lambda array: (wrong if str(array.dtype).endswith("bfloat16") else right)(array)
