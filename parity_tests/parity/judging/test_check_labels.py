"""Labels of sequences and of images: predictions are compared and counted along the axis that has the classes."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import optax
import pytest
import torch
from flax import nnx
from torch import Tensor, nn

from parity import Pair, check, random_batches, whole
from parity.recording import Key
from parity.verdict import Verdict

FEATURES, CLASSES = 3, 4
SHAPES = {"sequences": (5, 6), "images": (2, 5, 6)}
"""Of the labels; features come last in the batch, and classes behind the examples or last in the output."""
pytestmark = pytest.mark.usefixtures("compiled_quickly")


class TorchEach(nn.Module):
    """One linear layer for every position."""

    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(FEATURES, CLASSES)

    def forward(self, inputs: Tensor) -> Tensor:
        found: Tensor = self.fc(inputs)
        return found


class JaxEach(nnx.Module):
    """The same."""

    def __init__(self, rngs: nnx.Rngs) -> None:
        self.fc = nnx.Linear(FEATURES, CLASSES, rngs=rngs)

    def __call__(self, inputs: jax.Array) -> jax.Array:
        return self.fc(inputs)


class WrongWhereScored(JaxEach):
    """Its classes stand the other way around, in evaluation mode."""

    turned = False

    def train(self, **attributes: Any) -> None:
        self.turned = False

    def eval(self, **attributes: Any) -> None:
        self.turned = True

    def __call__(self, inputs: jax.Array) -> jax.Array:
        found = super().__call__(inputs)
        return found[..., ::-1] if self.turned else found


def torch_loss(model: nn.Module, batch: dict[str, Tensor]) -> Tensor:
    return nn.functional.cross_entropy(model(batch["inputs"]).movedim(-1, 1), batch["labels"])


def jax_loss(model: JaxEach, batch: dict[str, jax.Array]) -> jax.Array:
    return jnp.mean(optax.softmax_cross_entropy_with_integer_labels(model(batch["inputs"]), batch["labels"]))


def checked(labels: str, second: bool, model: type[JaxEach] = JaxEach, **others: Any) -> Verdict:
    """Of outputs with the classes on the second axis, or on the last."""
    shape = SHAPES[labels]
    sides: dict[str, dict[str, Any]] = {
        "torch": {"model": TorchEach, "loss": torch_loss, "optimizer": lambda held: torch.optim.SGD(held, lr=0.1)},
        "jax": {"model": model, "loss": jax_loss},
    }
    if second:
        sides["torch"]["predict"] = lambda model, batch: model(batch["inputs"]).movedim(-1, 1)
        sides["jax"]["predict"] = lambda model, batch: jnp.moveaxis(model(batch["inputs"]), -1, 1)
    batches = random_batches(inputs=(*shape, FEATURES), labels=whole(CLASSES, *shape), steps=2)
    return check(Pair(name=labels, labels="labels", batches=batches, **sides), **others)


@pytest.mark.parametrize(("labels", "second"), [("sequences", False), ("images", True)])
def test_right_sides_agree_and_every_position_is_counted(labels: str, second: bool) -> None:
    verdict = checked(labels, second)
    assert verdict.outcome == "agree", verdict.first_difference or [stage.reason for stage in verdict.stages]
    (found,) = verdict.scores
    assert found.total == {"sequences": 30, "images": 60}[labels]
    assert len(found.right) == 4
    assert len(set(found.right.values())) == 1
    assert any(c.key == Key("score", 0, "held out.predictions") for c in verdict.comparisons)


@pytest.mark.parametrize(("labels", "second"), [("sequences", True), ("images", False)])
def test_other_classes_are_told_by_how_many_positions_get_them(labels: str, second: bool) -> None:
    verdict = checked(labels, second, WrongWhereScored, dtypes=("float64",))
    assert verdict.outcome == "differ"
    (found,) = (c for c in verdict.comparisons if c.key.tensor == "held out.predictions")
    assert found.outcome == "differ"
    total = {"sequences": 30, "images": 60}[labels]
    # Of four classes none stays where it was.
    assert found.note.startswith(f"{total} of {total} examples get another class, first example 0 at 0")
