"""MLP: linear, ReLU, linear, fitted to random targets by Adam on all examples at once."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx
from jax.typing import DTypeLike
from jaxtyping import Float

from jaxnet import command
from jaxnet.arrays import Arrays, Batch, Rate, Run, Start, module_from_arrays, module_to_arrays, to_device
from jaxnet.draws import DATA, draw_linear, generator
from jaxnet.loops import drive
from jaxnet.problem import Feed, Problem
from jaxnet.settings import Settings

Examples = Float[jax.Array, "examples 5"]
Scalar = Float[jax.Array, ""]
Model = Callable[[Examples], Examples]


class MLP(nnx.Module):
    """Five numbers in, five numbers out."""

    def __init__(self, rngs: nnx.Rngs, param_dtype: DTypeLike = jnp.float32) -> None:
        self.fc1 = nnx.Linear(5, 5, rngs=rngs, param_dtype=param_dtype)
        self.fc2 = nnx.Linear(5, 5, rngs=rngs, param_dtype=param_dtype)

    def __call__(self, x: Examples) -> Examples:
        """The output for every example."""
        x = jax.nn.relu(self.fc1(x))
        output: Examples = self.fc2(x)
        return output


def predict(model: Model, batch: Batch) -> Examples:
    """The model's output for every example of the batch."""
    return model(batch["x"])


def loss(model: Model, batch: Batch) -> Scalar:
    """The sum of the squared errors."""
    return jnp.sum((predict(model, batch) - batch["target"]) ** 2)


def optimizer(learning_rate: Rate = 0.03) -> optax.GradientTransformation:
    """Adam with the usual betas 0.9 and 0.999 and epsilon 1e-8. Source: Kingma and Ba, Adam, 2015, algorithm 1."""
    return optax.adam(learning_rate)


def draw_parameters(seed: int) -> Arrays:
    """Initial parameters of the seed, from the distribution of torch.nn.Linear."""
    return draw_linear(seed, {"fc1": (5, 5), "fc2": (5, 5)})


def batches(seed: int, steps: int) -> Sequence[dict[str, np.ndarray]]:
    """The same batch for every step: x and target (100, 5), both standard normal."""
    numbers = generator(seed, DATA)
    return [{"x": numbers.standard_normal((100, 5)), "target": numbers.standard_normal((100, 5))}] * steps


def scored(seed: int) -> dict[str, dict[str, np.ndarray]]:
    """What to score on: the batch that the model is fitted to."""
    return {"fit": batches(seed, 1)[0]}


def from_arrays(parameters: Arrays, dtype: str = "float32", device: str = "cpu") -> MLP:
    """A model with these parameters. Raises ValueError as `checked` does."""
    return module_from_arrays(MLP, parameters, dtype, device)


def to_arrays(model: MLP) -> Arrays:
    """The parameters of the model."""
    return module_to_arrays(model)


PROBLEM = Problem(draw_parameters, from_arrays, to_arrays, loss, optimizer=optimizer)


def _feed(seed: int, how: Settings) -> Feed:
    return Feed(to_device(batches(seed, 1)[0], how.dtype, how.device))


def train(
    loop: str = "stepped",
    *,
    steps: int = 100,
    learning_rate: float = 0.03,
    seed: int = 0,
    device: str = "cpu",
    dtype: str = "float32",
    precision: str = "float32",
    state: Start | None = None,
    start: int = 0,
    count: int | None = None,
) -> Run:
    """Steps `start` to `start + count` of the training, driven by `loop` from `state`, or from the seed's draws.

    `many_seeds` runs `seed` and `seed + 1` together and gives back the run of `seed`.

    Raises SettingsError, LoopError where this machine cannot run the loop, ValueError for a state that does not fit.
    """
    how = Settings(steps, learning_rate, device, dtype, precision, start, count)
    return drive(loop, PROBLEM, [seed], _feed, how, state)[0]


def main(
    loop: command.Loop = "stepped",
    steps: command.Steps = 100,
    learning_rate: command.LearningRate = 0.03,
    seed: command.Seed = 0,
    device: command.Device = "cpu",
    dtype: command.Dtype = "float32",
    precision: command.Precision = "float32",
) -> None:
    """Fit an MLP to random targets."""
    with command.working(f"training, {steps} steps"):
        run = train(
            loop, steps=steps, learning_rate=learning_rate, seed=seed, device=device, dtype=dtype, precision=precision,
        )  # fmt: skip
    command.print_losses(run.losses)


if __name__ == "__main__":
    command.run(main)
