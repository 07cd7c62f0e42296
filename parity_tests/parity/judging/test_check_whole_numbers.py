"""Whole numbers of any width, in batches, buffers and outputs: compared exactly, and only by their values."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import torch
from flax import nnx
from torch import Tensor, nn

from parity import Pair, check
from parity.recording import Array, Batch, Key
from parity.verdict import Verdict

FEATURES, CLASSES = 6, 3
pytestmark = pytest.mark.usefixtures("compiled_once")


class TorchSorted(nn.Module):
    """A linear layer over features in an order that a buffer has; gives the classes as well."""

    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(FEATURES, CLASSES)
        self.register_buffer("order", torch.arange(FEATURES - 1, -1, -1))

    def forward(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        logits: Tensor = self.fc(pixels[:, self.get_buffer("order")] / 255)
        return logits, logits.argmax(-1)


class JaxSorted(nnx.Module):
    """The same."""

    def __init__(self, rngs: nnx.Rngs) -> None:
        self.fc = nnx.Linear(FEATURES, CLASSES, rngs=rngs)
        self.order = nnx.Variable(jnp.arange(FEATURES - 1, -1, -1))

    def __call__(self, pixels: jax.Array) -> tuple[jax.Array, jax.Array]:
        logits = self.fc(pixels[:, self.order[...]] / 255)
        return logits, self.classes(logits)

    def classes(self, logits: jax.Array) -> jax.Array:
        return logits.argmax(-1)


class FromOne(JaxSorted):
    """Counts classes from one."""

    def classes(self, logits: jax.Array) -> jax.Array:
        return logits.argmax(-1) + 1


class InFloating(JaxSorted):
    """Gives the classes as floating numbers."""

    def classes(self, logits: jax.Array) -> jax.Array:
        return logits.argmax(-1).astype(logits.dtype)


class Turning(JaxSorted):
    """Turns its buffer with every call."""

    def __call__(self, pixels: jax.Array) -> tuple[jax.Array, jax.Array]:
        found = super().__call__(pixels)
        self.order[...] = jnp.roll(self.order[...], 1)
        return found


def torch_loss(model: nn.Module, batch: dict[str, Tensor]) -> Tensor:
    return nn.functional.cross_entropy(model(batch["pixels"])[0], batch["labels"].long())


def jax_loss(model: JaxSorted, batch: dict[str, jax.Array]) -> jax.Array:
    losses = optax.softmax_cross_entropy_with_integer_labels(model(batch["pixels"])[0], batch["labels"])
    return jnp.mean(losses)


class Drawn:
    """Pixels and labels in these dtypes, and one batch to score on; `change` is applied to the last one trained on."""

    def __init__(self, pixels: str, labels: str, change: Callable[[Array], Array] = np.copy) -> None:
        self._pixels, self._labels, self._change = pixels, labels, change

    def __call__(self, seed: int, steps: int) -> list[Batch]:
        found = [self._one(seed, step) for step in range(steps)]
        return [*found[:-1], found[-1] | {"pixels": self._change(found[-1]["pixels"])}]

    def scored(self, seed: int) -> dict[str, Batch]:
        return {"held out": self._one(seed, 99)}

    def _one(self, *stream: int) -> Batch:
        generator = np.random.default_rng(stream)
        pixels, labels = generator.integers(0, 256, (8, FEATURES)), generator.integers(0, CLASSES, 8)
        return {"pixels": pixels.astype(self._pixels), "labels": labels.astype(self._labels)}


def checked(
    pixels: str = "uint8", labels: str = "int32", jax: dict[str, Any] | None = None,
    predict: Callable[..., Any] | None = None, **others: Any,
) -> Verdict:  # fmt: skip
    drawn = Drawn(pixels, labels)
    sides: dict[str, Any] = {
        "torch": {"model": TorchSorted, "loss": torch_loss, "optimizer": lambda held: torch.optim.SGD(held, lr=0.1)},
        "jax": {"model": JaxSorted, "loss": jax_loss} | (jax or {}),
    }
    if predict is not None:
        sides = {name: side | {"predict": predict} for name, side in sides.items()}
    return check(Pair(name="sorted", steps=2, batches=drawn, scored=drawn.scored, **sides), **others)


def first_of(verdict: Verdict) -> tuple[Key, str]:
    assert verdict.outcome == "differ"
    assert verdict.first_difference is not None
    return verdict.first_difference.comparison.key, verdict.first_difference.comparison.note


@pytest.mark.parametrize(("pixels", "labels"), [("uint8", "int64"), ("int32", "int32"), ("int64", "uint8")])
def test_right_sides_agree_whatever_the_width(pixels: str, labels: str) -> None:
    """In float32 the JAX side holds its buffer, its output and its batches in 32 bits, and torch in 64."""
    verdict = checked(pixels, labels)
    assert verdict.outcome == "agree", verdict.first_difference or [stage.reason for stage in verdict.stages]
    compared = {(c.key.stage, c.key.tensor) for c in verdict.comparisons if c.dtype == "float32"}
    assert {("init", "order"), ("trajectory", "order"), ("forward", "output1"), ("data", "pixels")} < compared


def test_one_other_value_in_a_batch_differs() -> None:
    def one_more(pixels: Array) -> Array:
        pixels = pixels.copy()
        pixels[3, 2] ^= 1
        return pixels

    verdict = checked(jax={"batches": Drawn("uint8", "int32", one_more)}, dtypes=("float64",))
    assert first_of(verdict) == (Key("data", 1, "pixels"), "the bytes are not the same")


@pytest.mark.parametrize(
    ("model", "where", "note"),
    [
        (FromOne, Key("forward", 0, "output1"), "not bit for bit the same"),
        (InFloating, Key("forward", 0, "output1"), "torch has dtype int64, jax float64"),
        (Turning, Key("update", 0, "order"), "not bit for bit the same"),
    ],
)
def test_a_mistake_in_whole_numbers_is_found_where_it_was_made(model: type[JaxSorted], where: Key, note: str) -> None:
    assert first_of(checked(jax={"model": model}, dtypes=("float64",))) == (where, note)


def test_classes_alone_prove_nothing_and_logits_are_asked_for() -> None:
    verdict = checked(predict=lambda model, batch: model(batch["pixels"])[1], dtypes=("float64",))
    assert verdict.outcome == "inconclusive"
    (score,) = [stage for stage in verdict.stages if stage.stage == "score"]
    told = "could be tried: `predict` gives whole numbers alone: have it give what they are made of, such as logits"
    assert score.reason.endswith(told)
