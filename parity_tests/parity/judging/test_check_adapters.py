"""Fine-tuning by low-rank adapters: the base is frozen, and its layer is divided otherwise on each side."""

from __future__ import annotations

from typing import Any

import jax
import optax
import pytest
import torch
from flax import nnx
from torch import Tensor, nn

from parity import Pair, check, random_batches
from parity.recording import Key
from parity.verdict import Verdict
from parity_tests.parity.judging.test_check_modules import first_of

pytestmark = pytest.mark.usefixtures("compiled_quickly")
INPUTS, OUTPUTS, RANK, SCALING = 5, 4, 2, 3.0


class Adapted(nn.Module):
    """A linear layer, and what is added to it."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.base_layer = nn.Linear(inputs, outputs).requires_grad_(False)
        self.lora_A, self.lora_B = nn.Linear(inputs, RANK, bias=False), nn.Linear(RANK, outputs, bias=False)
        nn.init.zeros_(self.lora_B.weight)

    def forward(self, x: Tensor) -> Tensor:
        found: Tensor = self.base_layer(x) + SCALING * self.lora_B(self.lora_A(x))
        return found


class Net(nn.Module):
    """Two of them."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = Adapted(INPUTS, OUTPUTS), Adapted(OUTPUTS, OUTPUTS)

    def forward(self, x: Tensor) -> Tensor:
        found: Tensor = self.second(torch.tanh(self.first(x)))
        return found


class AdaptedTwin(nnx.LoRALinear):
    """The same in Flax's own class, which has no scaling."""

    scaling = SCALING

    def __init__(self, inputs: int, outputs: int, *, rngs: nnx.Rngs) -> None:
        super().__init__(inputs, outputs, lora_rank=RANK, rngs=rngs)

    def __call__(self, x: jax.Array, *_: Any) -> jax.Array:
        found: jax.Array = nnx.Linear.__call__(self, x) + self.scaling * self.lora(x)
        return found


class Unscaled(AdaptedTwin):
    scaling = 1.0


class NetTwin(nnx.Module):
    """The same of two."""

    def __init__(self, rngs: nnx.Rngs, adapted: type[AdaptedTwin] = AdaptedTwin) -> None:
        self.first = adapted(INPUTS, OUTPUTS, rngs=rngs)
        self.second = adapted(OUTPUTS, OUTPUTS, rngs=rngs)

    def __call__(self, x: jax.Array) -> jax.Array:
        return self.second(jax.numpy.tanh(self.first(x)))


def unscaled(rngs: nnx.Rngs) -> NetTwin:
    return NetTwin(rngs, Unscaled)


def loss(model: Any, batch: Any) -> Any:
    return ((model(batch["x"]) - batch["y"]) ** 2).mean()


def adapters(model: NetTwin) -> Any:
    """As `nnx.Optimizer(..., wrt=nnx.LoRAParam)` has it."""

    def of_kind(variable: Any) -> Any:
        return jax.tree.map(lambda _: "train" if isinstance(variable, nnx.LoRAParam) else "freeze", variable)

    return jax.tree.map(of_kind, model, is_leaf=lambda node: isinstance(node, nnx.Variable))


def trained(decay: float = 0.1) -> optax.GradientTransformation:
    parts = {"train": optax.adamw(0.01, weight_decay=decay), "freeze": optax.set_to_zero()}
    return optax.partition(parts, adapters)


def verdict(model: Any = NetTwin, optimizer: Any = trained) -> Verdict:
    made = Pair(
        torch={
            "model": Net, "loss": loss,
            "optimizer": lambda parameters: torch.optim.AdamW(parameters, lr=0.01, weight_decay=0.1),
        },
        jax={"model": model, "loss": loss, "optimizer": optimizer}, frozen=("*.base_layer.*",), name="adapters",
        batches=random_batches(x=(8, INPUTS), y=(8, OUTPUTS), steps=3),
    )  # fmt: skip
    return check(made, dtypes=("float64",))


def test_an_adapter_agrees_without_a_weight_map() -> None:
    found = verdict()
    assert found.outcome == "agree", found.first_difference or [stage.reason for stage in found.stages]
    compared = {(c.key.stage, c.key.tensor) for c in found.comparisons}
    assert {("backward", "first.lora_A.weight"), ("update", "exp_avg.second.lora_B.weight")} < compared


MISTAKES: dict[str, tuple[dict[str, Any], Key]] = {
    # Its second matrix is zero before the first step, and so is what the scaling scales.
    "no scaling": ({"model": unscaled}, Key("backward", 0, "second.lora_B.weight")),
    "the base is trained, too": ({"optimizer": lambda: optax.adamw(0.01)}, Key("update", 0, "first.base_layer.weight")),
    "another decay": ({"optimizer": lambda: trained(0.01)}, Key("update", 0, "first.lora_A.weight")),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_in_one_is_found(mistake: str) -> None:
    parts, key = MISTAKES[mistake]
    assert first_of(verdict(**parts)) == key
