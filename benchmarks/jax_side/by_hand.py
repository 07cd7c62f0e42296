"""The whole run in plain JAX, without Flax and Optax, so that what these cost is a figure."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree

from benchmarks.case import BETAS, EPSILON, inputs_of, layers_of
from benchmarks.jax_side.problems import Setup
from benchmarks.prepared import Outcome, Prepared
from jaxnet.arrays import Arrays, Batch, Moments, moments_from_state, moments_to_arrays, to_device
from jaxnet.problem import Feed
from jaxnet.settings import dtype_of
from parity.recording import State


class Carry(NamedTuple):
    """What a step hands on: parameters and Adam's memory, each a dict of arrays or one vector."""

    parameters: Any
    step: jax.Array
    exp_avg: Any
    exp_avg_sq: Any


def loss_of(parameters: dict[str, jax.Array], batch: Batch) -> jax.Array:
    """The loss of the MLP, or of the MNIST classifier where the batch has labels. Weights are (inputs, outputs)."""
    x = batch[inputs_of(batch)]
    layers = layers_of(parameters)
    for layer in layers:
        x = x @ parameters[f"{layer}.weight"] + parameters[f"{layer}.bias"]
        x = jax.nn.relu(x) if layer != layers[-1] else x
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
        carried: from arrays by their names in the state to what is carried.
        arrays: back.
        loss: of what is carried and a batch.
    """

    carried: Callable[[Arrays], Any]
    arrays: Callable[[Any], Arrays]
    loss: Callable[[Any, Batch], jax.Array]


@functools.partial(jax.jit, static_argnames=("count", "layout"), donate_argnames="carry")
def steps(count: int, layout: Layout, carry: Carry, feed: Feed, start: Any, learning_rate: Any) -> Any:
    """The carry after `count` steps, and the losses."""
    return _steps(count, layout, carry, feed, start, learning_rate)


@functools.partial(jax.jit, static_argnames=("count", "layout"), donate_argnames="carries")
def steps_together(count: int, layout: Layout, carries: Carry, feed: Feed, start: Any, learning_rate: Any) -> Any:
    """The same of several runs of MNIST: carries stacked on a first axis, losses (runs, count)."""
    return jax.vmap(
        lambda carry, rows: _steps(count, layout, carry, Feed(feed.data, rows), start, learning_rate), in_axes=(0, 1)
    )(carries, feed.rows)


def _steps(count: int, layout: Layout, carry: Carry, feed: Feed, start: Any, learning_rate: Any) -> Any:
    def take(carry: Carry, step: Any) -> Any:
        value, gradients = jax.value_and_grad(layout.loss)(carry.parameters, feed.batch(step))
        return adam(carry, gradients, learning_rate), value

    return jax.lax.scan(take, carry, start + jnp.arange(count))


def by_hand(setup: Setup) -> Prepared:
    """Parameters and memory as dicts of arrays."""
    return prepared(setup, Layout(_turned, _turned, loss_of), setup.feeds[0])


def flat(setup: Setup) -> Prepared:
    """Parameters and memory as one vector each, so that an update is one operation for all of them."""
    example = to_device(_turned(setup.states[0].parameters), setup.how.dtype, setup.how.device)
    dict_of = ravel_pytree(example)[1]
    return prepared(setup, Layout(
        lambda arrays: np.concatenate([array.ravel() for _, array in sorted(_turned(arrays).items())]),
        lambda vector: _turned(dict_of(vector)),
        lambda vector, batch: loss_of(dict_of(vector), batch),
    ), setup.feeds[0])  # fmt: skip


def prepared(setup: Setup, layout: Layout, feed: Feed) -> Prepared:
    """The whole run with parameters and memory carried in this layout, fed this. MNIST's may be of several seeds."""
    how, seeds = setup.how, range(len(setup.states))
    several = len(seeds) > 1
    carries = [_begun(layout, setup, seed) for seed in seeds]
    begun: Carry = jax.tree.map(lambda *leaves: jnp.stack(leaves), *carries) if several else carries[0]

    def run(placed: Carry) -> Any:
        take_all = steps_together if several else steps
        return take_all(len(how.indices), layout, placed, feed, how.start, how.learning_rate)

    def read(done: Any) -> list[Outcome]:
        done = jax.device_get(done)
        if not several:
            return [_outcome(layout, *done)]
        return [_outcome(layout, *jax.tree.map(lambda leaf, seed=seed: leaf[seed], done)) for seed in seeds]

    # A copy for each run, which takes it over; to place a thousand seeds anew takes seconds.
    return Prepared(lambda: jax.tree.map(jnp.copy, begun), run, read)


def _begun(layout: Layout, setup: Setup, seed: int) -> Carry:
    state, dtype = setup.states[seed], setup.how.dtype
    moments = moments_from_state(state, dtype)
    trees = [layout.carried(arrays) for arrays in (state.parameters, moments.exp_avg, moments.exp_avg_sq)]
    held, mu, nu = (jax.device_put(jax.tree.map(dtype_of(dtype).type, tree)) for tree in trees)
    return Carry(held, jnp.array(moments.step, "int32"), mu, nu)


def _outcome(layout: Layout, carry: Carry, losses: Any) -> Outcome:
    held, mu, nu = map(layout.arrays, (carry.parameters, carry.exp_avg, carry.exp_avg_sq))
    return Outcome(np.array(losses), State(held, moments_to_arrays(Moments(int(carry.step), mu, nu))))


def _turned(arrays: Arrays) -> Arrays:
    """Weights from (outputs, inputs) to (inputs, outputs), and back."""
    return {name: np.ascontiguousarray(array.T) for name, array in arrays.items()}
