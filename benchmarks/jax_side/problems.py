"""A case in JAX: its problem, the states to start from, and what the steps are fed."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from importlib import import_module
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from flax import nnx

from benchmarks.case import WIDTH, Case
from benchmarks.jax_side.lowered import lowered
from jaxnet import mnist
from jaxnet.arrays import Arrays, Start, State, module_from_arrays, module_to_arrays, to_device
from jaxnet.data import read_mnist
from jaxnet.draws import draw_linear
from jaxnet.minibatches import draw_rows, to_unit_range
from jaxnet.problem import Feed, Problem
from jaxnet.settings import Settings


class WideClassifier(nnx.Module):
    """The MNIST classifier with another number of hidden units."""

    def __init__(self, width: int, rngs: nnx.Rngs, param_dtype: Any = jnp.float32) -> None:
        self.fc1 = nnx.Linear(784, width, rngs=rngs, param_dtype=param_dtype)
        self.fc2 = nnx.Linear(width, width, rngs=rngs, param_dtype=param_dtype)
        self.fc3 = nnx.Linear(width, 10, rngs=rngs, param_dtype=param_dtype)

    def __call__(self, images: jax.Array) -> jax.Array:
        """The logits, (examples, 10), of images, (examples, 784)."""
        x = jax.nn.relu(self.fc1(images))
        x = jax.nn.relu(self.fc2(x))
        logits: jax.Array = self.fc3(x)
        return logits


class Setup(NamedTuple):
    """All that a variant needs: a state and a feed for each seed, and which steps to take."""

    case: Case
    problem: Problem
    states: Sequence[State]
    feeds: Sequence[Feed]
    how: Settings


@functools.cache
def problem_of(problem: str, width: int) -> Problem:
    """The problem at this width, the same object at every call."""
    if problem != "mnist" or width == WIDTH:
        found: Problem = import_module(f"jaxnet.{problem}").PROBLEM
        return found
    layers = {"fc1": (784, width), "fc2": (width, width), "fc3": (width, 10)}

    # The same object at every call: what is built from it is cached by it.
    kind = functools.partial(WideClassifier, width)

    def draw_parameters(seed: int) -> Arrays:
        return draw_linear(seed, layers)

    def from_arrays(parameters: Arrays, dtype: str = "float32", device: str = "cpu") -> WideClassifier:
        return module_from_arrays(kind, parameters, dtype, device)

    return mnist.PROBLEM._replace(draw_parameters=draw_parameters, from_arrays=from_arrays, to_arrays=module_to_arrays)


@functools.cache
def lowered_problem_of(problem: str, width: int) -> Problem:
    """The same with products in bfloat16."""
    found = problem_of(problem, width)
    return found._replace(loss=lowered(found.loss))


def feeds(case: Case, seeds: Sequence[int], how: Settings) -> list[Feed]:
    """What the steps of every seed are fed, on the device; MNIST's images once for all seeds."""
    if case.problem != "mnist":
        batches = import_module(f"jaxnet.{case.problem}").batches
        return [Feed(to_device(batches(seed, 1)[0], how.dtype, how.device)) for seed in seeds]
    images = read_mnist()
    data = {"images": to_unit_range(images.train_images, how.dtype), "labels": images.train_labels}
    tensors = to_device(data, how.dtype, how.device)
    drawn = {str(seed): draw_rows(seed, how.steps, case.batch_size, len(images.train_labels)) for seed in seeds}
    rows = to_device(drawn, how.dtype, how.device)
    return [Feed(tensors, rows[str(seed)]) for seed in seeds]


def setup(
    case: Case,
    dtype: str,
    *,
    seeds: Sequence[int],
    start: int = 0,
    count: int | None = None,
    state: Start | None = None,
) -> Setup:
    """The case of these seeds from `state`, or from each seed's draws, in steps `start` to `start + count`."""
    how = Settings(case.steps, case.learning_rate, case.device, dtype, case.setting, start, count)
    make = lowered_problem_of if case.precision == "bfloat16" else problem_of
    problem = make(case.problem, case.width)
    states = [State(*(state or (problem.draw_parameters(seed), {}))) for seed in seeds]
    return Setup(case, problem, states, feeds(case, seeds, how), how)
