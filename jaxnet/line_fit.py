"""Line fit: y = m x + c, with gradients by autodiff and the update by hand."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from jaxnet import command
from jaxnet.arrays import Arrays, Batch, Rate, Run, Start, checked, to_device, to_host
from jaxnet.draws import DATA, generator
from jaxnet.loops import drive
from jaxnet.problem import Feed, Problem
from jaxnet.settings import Settings, computing

Line = dict[str, Float[jax.Array, "*runs 1"]]
Points = Float[jax.Array, "*points"]
Scalar = Float[jax.Array, ""]


def predict(model: Line, batch: Batch) -> Points:
    """The line's y at every x of the batch."""
    return model["m"] * batch["x"] + model["c"]


def norm(residual: Points) -> Scalar:
    """The square root of the sum of squares, with gradient 0 where all are 0.

    The derivative of the square root at 0 is infinite, and 0 times infinity is NaN: torch.linalg.vector_norm has
    gradient 0 there, jnp.linalg.norm has NaN.
    """
    squares = jnp.sum(residual**2)
    # One `where` behind the square root is not enough: the gradient of the branch not taken is NaN, and NaN times 0 is
    # NaN. The one before it keeps the square root away from 0.
    zero = squares == 0
    length: Scalar = jnp.where(zero, 0, jnp.sqrt(jnp.where(zero, 1, squares)))
    return length


def loss(model: Line, batch: Batch) -> Scalar:
    """How far the line is from all targets together; x is (5, 100) and each row is fitted to the target, (1, 100)."""
    return norm(predict(model, batch) - batch["target"])


def differentiate(model: Line, batch: Batch) -> tuple[Scalar, Line]:
    """The loss and its gradient for m and c, by autodiff."""
    return jax.value_and_grad(loss)(model, batch)


def update(model: Line, gradients: Line, learning_rate: Rate = 0.05) -> Line:
    """The line after one step downhill; the given one stays as it is."""
    return {name: tensor - learning_rate * gradients[name] for name, tensor in model.items()}


def draw_parameters(seed: int) -> Arrays:
    """Where the fit starts, m = 5.1 and c = 2.05, whatever the seed."""
    return {"m": np.array([5.1]), "c": np.array([2.05])}


def batches(seed: int, steps: int) -> Sequence[dict[str, np.ndarray]]:
    """The same batch for every step: x (5, 100) and target (1, 100), both standard normal."""
    numbers = generator(seed, DATA)
    return [{"x": numbers.standard_normal((5, 100)), "target": numbers.standard_normal((1, 100))}] * steps


def scored(seed: int) -> dict[str, dict[str, np.ndarray]]:
    """What to score on: the batch that the line is fitted to."""
    return {"fit": batches(seed, 1)[0]}


def from_arrays(parameters: Arrays, dtype: str = "float32", device: str = "cpu") -> Line:
    """A line with these parameters, m and c, both of shape (1,). Raises ValueError as `checked` does."""
    return to_device(checked(parameters, {"m": (1,), "c": (1,)}, dtype), dtype, device)


def to_arrays(model: Line) -> Arrays:
    """M and c."""
    return to_host({"m": model["m"], "c": model["c"]})


PROBLEM = Problem(draw_parameters, from_arrays, to_arrays, loss, update=update)


def _feed(seed: int, how: Settings) -> Feed:
    return Feed(to_device(batches(seed, 1)[0], how.dtype, how.device))


def train(
    loop: str = "stepped",
    *,
    steps: int = 100,
    learning_rate: float = 0.05,
    seed: int = 0,
    device: str = "cpu",
    dtype: str = "float32",
    precision: str = "float32",
    state: Start | None = None,
    start: int = 0,
    count: int | None = None,
) -> Run:
    """Steps `start` to `start + count` of the fit, driven by `loop` from `state`, or from where the fit starts.

    `many_seeds` runs `seed` and `seed + 1` together and gives back the run of `seed`.

    Raises SettingsError, LoopError where this machine cannot run the loop, ValueError for a state that does not fit.
    """
    how = Settings(steps, learning_rate, device, dtype, precision, start, count)
    return drive(loop, PROBLEM, [seed], _feed, how, state)[0]


class Look(NamedTuple):
    """What autodiff shows at one m and c, for one x and target."""

    m: float
    c: float
    y: float
    loss: float
    gradient_m: float
    gradient_c: float


def walk() -> list[Look]:
    """Autodiff looked at from three places, x = 2 and target = 13, in float64.

    First m = 5 and c = 2; then after a step with rate 0.01 for m and 0.3 for c; then after one with 0.05 for both.
    """
    batch = to_device({"x": np.array([2.0]), "target": np.array([13.0])}, "float64", "cpu")

    def look(model: Line) -> Look:
        value, gradients = differentiate(model, batch)
        shown = (model["m"], model["c"], predict(model, batch), value, gradients["m"], gradients["c"])
        return Look(*(tensor.item() for tensor in shown))

    with computing("cpu", "float64"):
        first = from_arrays({"m": np.array([5.0]), "c": np.array([2.0])}, "float64")
        gradients = differentiate(first, batch)[1]
        uneven = {"m": update(first, gradients, 0.01)["m"], "c": update(first, gradients, 0.3)["c"]}
        return [look(first), look(uneven), look(update(first, gradients, 0.05))]


def main(
    loop: command.Loop = "stepped",
    steps: command.Steps = 100,
    learning_rate: command.LearningRate = 0.05,
    seed: command.Seed = 0,
    device: command.Device = "cpu",
    dtype: command.Dtype = "float32",
    precision: command.Precision = "float32",
) -> None:
    """Look at autodiff from three places, then fit the line y = m x + c."""
    for m, c, y, value, gradient_m, gradient_c in walk():
        print(f"m {m:g}, c {c:g}, x 2, target 13: y {y:g}, loss {value:g}, gradients {gradient_m:g} and {gradient_c:g}")
    with command.working(f"fitting, {steps} steps"):
        run = train(
            loop, steps=steps, learning_rate=learning_rate, seed=seed, device=device, dtype=dtype, precision=precision,
        )  # fmt: skip
    command.print_losses(run.losses)
    print(f"m {run.state.parameters['m'].item():.6f}, c {run.state.parameters['c'].item():.6f}")


if __name__ == "__main__":
    command.run(main)
