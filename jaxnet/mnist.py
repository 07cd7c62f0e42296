"""MNIST classifier: three linear layers tell handwritten digits apart, trained by Adam on random batches."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx
from jax.typing import DTypeLike
from jaxtyping import Float

from jaxnet import command
from jaxnet.arrays import Arrays, Batch, Rate, Run, Start, module_from_arrays, module_to_arrays, to_device, to_host
from jaxnet.data import read_mnist
from jaxnet.draws import draw_linear
from jaxnet.loops import drive
from jaxnet.minibatches import Minibatches, NumpyBatch, batch_of, draw_rows, to_unit_range
from jaxnet.problem import Feed, Problem
from jaxnet.settings import Settings, SettingsError, computing

Images = Float[jax.Array, "examples 784"]
Logits = Float[jax.Array, "examples 10"]
Scalar = Float[jax.Array, ""]
Model = Callable[[Images], Logits]


class Classifier(nnx.Module):
    """784 pixels in, a logit for each of ten digits out."""

    def __init__(self, rngs: nnx.Rngs, param_dtype: DTypeLike = jnp.float32) -> None:
        self.fc1 = nnx.Linear(784, 100, rngs=rngs, param_dtype=param_dtype)
        self.fc2 = nnx.Linear(100, 100, rngs=rngs, param_dtype=param_dtype)
        self.fc3 = nnx.Linear(100, 10, rngs=rngs, param_dtype=param_dtype)

    def __call__(self, images: Images) -> Logits:
        """The logits of every image."""
        x = jax.nn.relu(self.fc1(images))
        x = jax.nn.relu(self.fc2(x))
        logits: Logits = self.fc3(x)
        return logits


def predict(model: Model, batch: Batch) -> Logits:
    """The model's logits for every image of the batch; the largest is its answer."""
    return model(batch["images"])


def loss(model: Model, batch: Batch) -> Scalar:
    """The mean cross-entropy of the labels."""
    losses = optax.softmax_cross_entropy_with_integer_labels(predict(model, batch), batch["labels"])
    return jnp.mean(losses)


def optimizer(learning_rate: Rate = 0.03) -> optax.GradientTransformation:
    """Adam with the usual betas 0.9 and 0.999 and epsilon 1e-8. Source: Kingma and Ba, Adam, 2015, algorithm 1."""
    return optax.adam(learning_rate)


def draw_parameters(seed: int) -> Arrays:
    """Initial parameters of the seed, from the distribution of torch.nn.Linear."""
    return draw_linear(seed, {"fc1": (784, 100), "fc2": (100, 100), "fc3": (100, 10)})


def batches(seed: int, steps: int, batch_size: int = 1000) -> Sequence[NumpyBatch]:
    """Images and labels of every step, as `draw_rows` draws them. Raises DataError."""
    mnist = read_mnist()
    return Minibatches(mnist, draw_rows(seed, steps, batch_size, len(mnist.train_labels)))


def scored(seed: int, data: Path | None = None) -> dict[str, NumpyBatch]:
    """What to score on, whatever the seed: the last 1000 training images, as the notebook does, and the test images."""
    mnist = read_mnist(data)
    return {
        "notebook": batch_of(mnist.train_images[-1000:], mnist.train_labels[-1000:]),
        "test": batch_of(mnist.test_images, mnist.test_labels),
    }


def from_arrays(parameters: Arrays, dtype: str = "float32", device: str = "cpu") -> Classifier:
    """A model with these parameters. Raises ValueError as `checked` does."""
    return module_from_arrays(Classifier, parameters, dtype, device)


def to_arrays(model: Classifier) -> Arrays:
    """The parameters of the model."""
    return module_to_arrays(model)


PROBLEM = Problem(draw_parameters, from_arrays, to_arrays, loss, optimizer=optimizer)


@functools.lru_cache(maxsize=2)
def _resident(dtype: str, device: str, data: Path | None) -> Batch:
    """All training examples, on the device for as long as the process runs: 188 MB in float32."""
    mnist = read_mnist(data)
    return to_device({"images": to_unit_range(mnist.train_images, dtype), "labels": mnist.train_labels}, dtype, device)


def _feed(batch_size: int, data: Path | None, seed: int, how: Settings) -> Feed:
    if batch_size < 1:
        raise SettingsError(f"batch size is {batch_size}: expected 1 or more")
    examples = _resident(how.dtype, how.device, data)
    rows = draw_rows(seed, how.steps, batch_size, len(examples["labels"]))
    return Feed(examples, to_device({"rows": rows}, how.dtype, how.device)["rows"])


def train(
    loop: str = "stepped",
    *,
    steps: int = 100,
    batch_size: int = 1000,
    learning_rate: float = 0.03,
    seed: int = 0,
    device: str = "cpu",
    dtype: str = "float32",
    precision: str = "float32",
    data: Path | None = None,
    state: Start | None = None,
    start: int = 0,
    count: int | None = None,
) -> Run:
    """Steps `start` to `start + count` of the training, driven by `loop` from `state`, or from the seed's draws.

    `many_seeds` runs `seed` and `seed + 1` together and gives back the run of `seed`. `data` as in `read_mnist`.

    Raises SettingsError, DataError, LoopError where this machine cannot run the loop, ValueError for a state that does
    not fit.
    """
    how = Settings(steps, learning_rate, device, dtype, precision, start, count)
    return drive(loop, PROBLEM, [seed], functools.partial(_feed, batch_size, data), how, state)[0]


def train_seeds(seeds: Sequence[int], *, steps: int = 100, device: str = "cpu", dtype: str = "float32") -> list[Run]:
    """An independent training for every seed, all driven together by `many_seeds`. Raises as `train` does.

    Batch size and learning rate are the notebook's.
    """
    how = Settings(steps, 0.03, device, dtype, "float32")
    return drive("many_seeds", PROBLEM, seeds, functools.partial(_feed, 1000, None), how)


def accuracies(
    parameters: Arrays, *, device: str = "cpu", dtype: str = "float32", data: Path | None = None
) -> dict[str, float]:
    """The share of right answers, from 0 to 1, on each batch of `scored`. Raises ValueError and DataError."""
    model = from_arrays(parameters, dtype, device)
    shares = {}
    for name, batch in scored(0, data).items():
        with computing(device, dtype):
            logits = to_host({"logits": predict(model, to_device(batch, dtype, device))})["logits"]
        shares[name] = float(np.mean(logits.argmax(1) == batch["labels"]))
    return shares


def accuracies_of_seeds(seeds: Sequence[int], *, device: str = "cpu") -> dict[str, np.ndarray]:
    """What `accuracies` says of the training of every seed, (seeds,), float32. Raises SettingsError and DataError."""
    each = [accuracies(run.state.parameters, device=device) for run in train_seeds(seeds, device=device)]
    return {name: np.array([shares[name] for shares in each]) for name in each[0]}


def main(
    loop: command.Loop = "stepped",
    steps: command.Steps = 100,
    batch_size: command.BatchSize = 1000,
    learning_rate: command.LearningRate = 0.03,
    seed: command.Seed = 0,
    device: command.Device = "cpu",
    dtype: command.Dtype = "float32",
    precision: command.Precision = "float32",
    data: command.Data = None,
) -> None:
    """Train the MNIST classifier and score it."""
    with command.working("reading MNIST"):
        read_mnist(data)
    with command.working(f"training, {steps} steps"):
        run = train(
            loop, steps=steps, batch_size=batch_size, learning_rate=learning_rate,
            seed=seed, device=device, dtype=dtype, precision=precision, data=data,
        )  # fmt: skip
        shares = accuracies(run.state.parameters, device=device, dtype=dtype, data=data)
    command.print_losses(run.losses)
    print(f"accuracy on the last 1000 training images, as the notebook has it: {shares['notebook']:.3f}")
    print(f"accuracy on the 10,000 test images: {shares['test']:.4f}")


if __name__ == "__main__":
    command.run(main)
