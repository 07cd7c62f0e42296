"""The whole run in plain JAX, without Flax and Optax, so that what these cost is a figure."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree

from benchmarks.jax_side.problems import Setup
from benchmarks.prepared import Outcome, Prepared
from jaxnet.arrays import Arrays, Moments, moments_from_state, moments_to_arrays, to_device, to_host
from jaxnet.problem import Feed
from parity.recording import State

BETAS, EPSILON = (0.9, 0.999), 1e-8
UNITS = 16
"""A padded layer is a multiple of so many units wide, 64 bytes in float32. TF32's products want rows of a multiple of
16 bytes. Source: NVIDIA, Matrix Multiplication Background User's Guide."""


class Carry(NamedTuple):
    """What a step hands on: parameters and Adam's memory, each a dict of arrays or one vector."""

    parameters: Any
    step: jax.Array
    exp_avg: Any
    exp_avg_sq: Any


def loss_of(parameters: dict[str, jax.Array], batch: dict[str, jax.Array], outputs: int) -> jax.Array:
    """The loss of the MLP, or of the MNIST classifier where the batch has labels. Weights are (inputs, outputs).

    Only the first `outputs` columns of the last layer count.
    """
    x = batch["images"] if "labels" in batch else batch["x"]
    layers = sorted({name.partition(".")[0] for name in parameters})
    for layer in layers:
        x = x @ parameters[f"{layer}.weight"] + parameters[f"{layer}.bias"]
        x = jax.nn.relu(x) if layer != layers[-1] else x[:, :outputs]
    if "labels" not in batch:
        return jnp.sum((x - batch["target"]) ** 2)
    picked = jnp.take_along_axis(x, batch["labels"][:, None], axis=1)[:, 0]
    return jnp.mean(jax.nn.logsumexp(x, axis=1) - picked)


def adam(carry: Carry, gradients: Any, learning_rate: Any) -> Carry:
    """One update. Source: Kingma and Ba, Adam, 2015, algorithm 1."""
    step = carry.step + 1
    exp_avg = jax.tree.map(lambda m, g: BETAS[0] * m + (1 - BETAS[0]) * g, carry.exp_avg, gradients)
    exp_avg_sq = jax.tree.map(lambda v, g: BETAS[1] * v + (1 - BETAS[1]) * g * g, carry.exp_avg_sq, gradients)
    # Not 1 - beta**step: from a beta that float32 has rounded, the difference keeps few digits.
    first, second = (-jnp.expm1(step * np.log(beta)) for beta in BETAS)
    parameters = jax.tree.map(
        lambda p, m, v: p - (learning_rate * (m / first) / (jnp.sqrt(v / second) + EPSILON)).astype(p.dtype),
        carry.parameters, exp_avg, exp_avg_sq,
    )  # fmt: skip
    return Carry(parameters, step, exp_avg, exp_avg_sq)


class Layout(NamedTuple):
    """How parameters and each of Adam's means are carried.

    Attributes:
        carried: from a dict of arrays, weights (inputs, outputs), to what is carried.
        dict_of: back, as the loss takes it.
        outputs: how many columns of the last layer count.
    """

    carried: Callable[[Any], Any]
    dict_of: Callable[[Any], Any]
    outputs: int


@functools.partial(jax.jit, static_argnames=("count", "layout"), donate_argnames="carry")
def steps(count: int, layout: Layout, carry: Carry, feed: Feed, start: Any, learning_rate: Any) -> Any:
    """The carry after `count` steps, and the losses."""

    def loss(carried: Any, step: Any) -> jax.Array:
        return loss_of(layout.dict_of(carried), feed.batch(step), layout.outputs)

    def take(carry: Carry, step: Any) -> Any:
        value, gradients = jax.value_and_grad(loss)(carry.parameters, step)
        return adam(carry, gradients, learning_rate), value

    return jax.lax.scan(take, carry, start + jnp.arange(count))


def by_hand(setup: Setup) -> Prepared:
    """Parameters and memory as dicts of arrays."""
    return _prepared(setup, Layout(_as_it_is, _as_it_is, _outputs(setup)))


def flat(setup: Setup) -> Prepared:
    """Parameters and memory as one vector each, so that an update is one operation for all of them."""
    return _prepared(setup, _vector(_on_device(setup, _turned(setup.states[0].parameters)), _outputs(setup)))


def padded(setup: Setup) -> Prepared:
    """The same, and every layer as many units wide as matrix units take at once; the units too many stay at 0."""
    shapes = {name: array.shape for name, array in _turned(setup.states[0].parameters).items()}
    first = min(shapes)[: -len(".bias")]

    def pad(tree: Any) -> Any:
        return {name: jnp.pad(array, _missing(name, array.shape, first)) for name, array in tree.items()}

    example = pad(_on_device(setup, _turned(setup.states[0].parameters)))
    return _prepared(setup, _vector(example, _outputs(setup), pad))


def _missing(name: str, shape: tuple[int, ...], first: str) -> list[tuple[int, int]]:
    """What a shape lacks on every axis; the first layer's inputs are the batch's."""
    lacks = [(0, -size % UNITS) for size in shape]
    return [(0, 0), *lacks[1:]] if name == f"{first}.weight" else lacks


def _vector(example: Any, outputs: int, pad: Callable[[Any], Any] | None = None) -> Layout:
    return Layout(lambda tree: ravel_pytree(pad(tree) if pad else tree)[0], ravel_pytree(example)[1], outputs)


def _as_it_is(tree: Any) -> Any:
    return tree


def _outputs(setup: Setup) -> int:
    """How wide the last layer is."""
    parameters = setup.states[0].parameters
    return len(parameters[max(name for name in parameters if name.endswith(".bias"))])


def _on_device(setup: Setup, arrays: Arrays) -> Any:
    return to_device(arrays, setup.how.dtype, setup.how.device)


def _prepared(setup: Setup, layout: Layout) -> Prepared:
    how, feed, state = setup.how, setup.feeds[0], setup.states[0]

    def start() -> Carry:
        moments = moments_from_state(state, how.dtype)
        trees = (state.parameters, moments.exp_avg, moments.exp_avg_sq)
        held, mu, nu = (layout.carried(_on_device(setup, _turned(tree))) for tree in trees)
        return Carry(held, jnp.array(moments.step, "int32"), mu, nu)

    def run(placed: Carry) -> Any:
        return steps(len(how.indices), layout, placed, feed, how.start, how.learning_rate)

    def arrays(carried: Any) -> Arrays:
        whole = _turned(to_host(layout.dict_of(carried)))
        return {name: whole[name][tuple(map(slice, array.shape))].copy() for name, array in state.parameters.items()}

    def read(done: Any) -> list[Outcome]:
        carry, losses = done
        held, mu, nu = (arrays(tree) for tree in (carry.parameters, carry.exp_avg, carry.exp_avg_sq))
        return [Outcome(np.array(losses), State(held, moments_to_arrays(Moments(int(carry.step), mu, nu))))]

    return Prepared(start, run, read)


def _turned(arrays: Arrays) -> Arrays:
    """Weights from (outputs, inputs) to (inputs, outputs), and back; in the order of the state."""
    return {name: np.ascontiguousarray(array.T) for name, array in arrays.items()}
