"""Batches of several lengths, which call a layer as often: each step is recorded by the calls that it made itself."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import torch
from flax import nnx
from torch import Tensor, nn

from parity import Pair, check
from parity.recording import Batch, Key
from parity.sides.live import LiveSide, live_side

WIDTH, CLASSES = 4, 3
pytestmark = pytest.mark.usefixtures("compiled_quickly")


class TorchSteps(nn.Module):
    """A recurrent cell by hand, called once for each position."""

    def __init__(self) -> None:
        super().__init__()
        self.cell = nn.Linear(WIDTH, WIDTH)
        self.head = nn.Linear(WIDTH, CLASSES)

    def forward(self, inputs: Tensor) -> Tensor:
        state = torch.zeros_like(inputs[:, 0])
        for position in range(inputs.shape[1]):
            state = torch.tanh(self.cell(state) + inputs[:, position])
        found: Tensor = self.head(state)
        return found


class JaxSteps(nnx.Module):
    """The same; `factor(length)` is what a mistake multiplies the last state with."""

    def __init__(self, rngs: nnx.Rngs) -> None:
        self.cell = nnx.Linear(WIDTH, WIDTH, rngs=rngs)
        self.head = nnx.Linear(WIDTH, CLASSES, rngs=rngs)

    def __call__(self, inputs: jax.Array) -> jax.Array:
        state = jnp.zeros_like(inputs[:, 0])
        for position in range(inputs.shape[1]):
            state = jnp.tanh(self.cell(state) + inputs[:, position])
        return self.head(self.last(state, inputs.shape[1]))

    def last(self, state: jax.Array, length: int) -> jax.Array:
        return state


class WrongWhereLonger(JaxSteps):
    """Wrong in batches of three positions, and right in those of two."""

    def last(self, state: jax.Array, length: int) -> jax.Array:
        return state * (1.001 if length == 3 else 1.0)


def torch_loss(model: nn.Module, batch: dict[str, Tensor]) -> Tensor:
    return nn.functional.cross_entropy(model(batch["inputs"]), batch["labels"])


def jax_loss(model: JaxSteps, batch: dict[str, jax.Array]) -> jax.Array:
    losses = optax.softmax_cross_entropy_with_integer_labels(model(batch["inputs"]), batch["labels"])
    return jnp.mean(losses)


def drawn(length: int, *stream: int) -> Batch:
    generator = np.random.default_rng(stream)
    return {"inputs": generator.standard_normal((5, length, WIDTH)), "labels": generator.integers(0, CLASSES, 5)}


def pair(lengths: list[int], model: type[JaxSteps] = JaxSteps) -> Pair:
    return Pair(
        name="steps",
        steps=len(lengths),
        batches=lambda seed, steps: [drawn(length, seed, step) for step, length in enumerate(lengths[:steps])],
        scored=lambda seed: {"held out": drawn(2, seed, 99)},
        torch={"model": TorchSteps, "loss": torch_loss, "optimizer": lambda held: torch.optim.SGD(held, lr=0.1)},
        jax={"model": model, "loss": jax_loss},
    )


@pytest.mark.parametrize("lengths", [[2, 3, 2], [3, 2, 3]], ids=["shorter first", "longer first"])
def test_a_right_port_is_green_whatever_length_comes_first(lengths: list[int]) -> None:
    verdict = check(pair(lengths))
    assert verdict.outcome == "agree", verdict.first_difference or [stage.reason for stage in verdict.stages]
    compared = {c.key for c in verdict.comparisons if c.dtype == "float64" and c.key.stage == "forward"}
    for step, length in enumerate(lengths):
        assert Key("forward", step, "cell#2.output") in compared
        assert (Key("forward", step, "cell#3.output") in compared) is (length == 3)


def test_a_mistake_at_one_length_is_found_at_the_first_step_of_that_length() -> None:
    verdict = check(pair([2, 3, 2], WrongWhereLonger), dtypes=("float64",))
    assert verdict.outcome == "differ"
    assert verdict.first_difference is not None
    assert verdict.first_difference.comparison.key == Key("forward", 1, "head.input")


def everything(side: LiveSide, length: int) -> list[list[str]]:
    """The names, in their order, of all that a side tells of a pass."""
    parameters, batch = side.initial(0), drawn(length, 0)
    seen = side.observe(parameters, batch)
    taught = side.taught(parameters, batch, seen.forward)
    return [list(seen.forward), list(seen.cotangents), list(side.forward(parameters, batch)), list(taught)]


def test_another_length_in_between_changes_neither_names_nor_order() -> None:
    sides = [live_side(pair([2, 3]).side(framework), framework, "float64", "cpu") for framework in ("torch", "jax")]
    of_torch, of_jax = ([everything(side, length) for length in (3, 2, 3)] for side in sides)
    assert of_torch == of_jax
    assert of_jax[0] == of_jax[2] != of_jax[1]
