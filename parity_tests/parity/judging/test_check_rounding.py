"""A gradient that is nothing but rounding in some of its numbers, of which Adam makes steps, is no difference."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import torch
from flax import nnx
from torch import Tensor, nn

from parity.recording import Arrays
from parity_tests.parity.judging.test_check_layers import checked, first_of

pytestmark = pytest.mark.usefixtures("compiled_quickly")


class Forecast(nn.Module):
    """Its first output is below zero, where all targets are above: there the loss is flat."""

    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Linear(4, 3)
        self.head.bias.data = torch.tensor([-9.0, 9.0, 9.0])

    def forward(self, x: Tensor) -> Tensor:
        found: Tensor = self.head(x)
        return found


class ForecastTwin(nnx.Module):
    def __init__(self, rngs: nnx.Rngs) -> None:
        self.head = nnx.Linear(4, 3, rngs=rngs)

    def __call__(self, x: jax.Array) -> jax.Array:
        return self.head(x)


def of_targets(seed: int, steps: int) -> list[Arrays]:
    generator = np.random.default_rng(seed)
    return [{"inputs": generator.normal(size=(5, 4)), "y": generator.random((5, 3)) + 0.1} for _ in range(steps)]


def torch_loss(model: nn.Module, batch: dict[str, Tensor]) -> Tensor:
    """The symmetric mean absolute percentage error, which is 200 wherever the signs are opposite."""
    forecast, y = model(batch["inputs"]), batch["y"]
    found: Tensor = (200 * (forecast - y).abs() / (forecast.abs() + y.abs())).mean()
    return found


def jax_loss(model: Any, batch: dict[str, jax.Array]) -> jax.Array:
    forecast, y = model(batch["inputs"]), batch["y"]
    return jnp.mean(200 * jnp.abs(forecast - y) / (jnp.abs(forecast) + jnp.abs(y)))


def predict(model: Any, batch: dict[str, Any]) -> Any:
    return model(batch["inputs"])


@pytest.mark.parametrize(
    ("jax_side", "wrong"),
    [
        ({}, ""),
        ({"optimizer": lambda: optax.adam(0.01, eps=1e-7)}, "head.weight"),
        ({"optimizer": lambda: optax.adam(optax.piecewise_constant_schedule(0.01, {2: 0.5}))}, "head.weight"),
    ],
    ids=["right", "another epsilon", "another rate later"],
)
def test_steps_that_adam_makes_of_rounding_are_judged_in_lockstep(jax_side: dict[str, Any], wrong: str) -> None:
    verdict = checked(
        Forecast, ForecastTwin, batches=of_targets, steps=3, scored=lambda seed: {"held": of_targets(seed, 1)[0]},
        torch={"loss": torch_loss, "optimizer": lambda p: torch.optim.Adam(p, lr=0.01), "predict": predict},
        jax={"loss": jax_loss, "optimizer": lambda: optax.adam(0.01), "predict": predict} | jax_side,
    )  # fmt: skip
    if wrong:
        assert first_of(verdict) == wrong
    else:
        assert verdict.outcome == "agree", str(verdict.first_difference)
        assert any("rests on numbers of a gradient that are nothing but rounding" in line for line in verdict.listed)


class Embedded(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.embed, self.head = nn.Embedding(6, 4), nn.Linear(4, 3)

    def forward(self, tokens: Tensor) -> Tensor:
        found: Tensor = self.head(self.embed(tokens).mean(1))
        return found


class EmbeddedTwin(nnx.Module):
    def __init__(self, rngs: nnx.Rngs) -> None:
        self.embed, self.head = nnx.Embed(6, 4, rngs=rngs), nnx.Linear(4, 3, rngs=rngs)

    def __call__(self, tokens: jax.Array) -> jax.Array:
        return self.head(self.embed(tokens).mean(1))


def by_turns(seed: int, steps: int) -> list[Arrays]:
    """Tokens of which every second batch has the other half: where it has none, the gradient is 0."""
    generator = np.random.default_rng(seed)
    return [
        {"inputs": generator.integers(0, 3, (5, 2)) + 3 * (step % 2), "y": generator.random((5, 3)) + 0.1}
        for step in range(steps)
    ]


def skipping(given: optax.GradientTransformation) -> optax.GradientTransformation:
    """Moves nothing where the gradient is 0, as an optimizer of sparse gradients does: the planted mistake."""

    def update(slopes: Any, state: Any, parameters: Any = None) -> tuple[Any, Any]:
        updates, state = given.update(slopes, state, parameters)
        return jax.tree.map(lambda update, slope: jnp.where(slope == 0, 0, update), updates, slopes), state

    return optax.GradientTransformation(given.init, update)


@pytest.mark.parametrize(("around", "outcome"), [(lambda given: given, "agree"), (skipping, "differ")])
def test_a_step_that_is_left_out_where_the_gradient_is_zero_is_a_difference(around: Any, outcome: str) -> None:
    """All that differs has a gradient of 0, as where rounding moved it, and lockstep tells the two apart."""
    verdict = checked(
        Embedded, EmbeddedTwin, batches=by_turns, steps=3, scored=lambda seed: {"held": by_turns(seed, 1)[0]},
        torch={"loss": torch_loss, "optimizer": lambda p: torch.optim.Adam(p, lr=0.01), "predict": predict},
        jax={"loss": jax_loss, "optimizer": lambda: around(optax.adam(0.01)), "predict": predict},
    )  # fmt: skip
    assert verdict.outcome == outcome, str(verdict.first_difference)
    if outcome == "differ":
        assert first_of(verdict) == "embed.weight"
        assert any("rests on numbers of a gradient that are nothing but rounding" in line for line in verdict.listed)
