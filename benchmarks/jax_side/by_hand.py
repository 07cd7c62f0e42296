"""The whole run in plain JAX, without Flax and Optax, so that what these cost is a figure."""

from __future__ import annotations

import functools
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


class Carry(NamedTuple):
    """What a step hands on: parameters and Adam's memory, each a dict of arrays or one vector."""

    parameters: Any
    step: jax.Array
    exp_avg: Any
    exp_avg_sq: Any


def loss_of(parameters: dict[str, jax.Array], batch: dict[str, jax.Array]) -> jax.Array:
    """The loss of the MLP, or of the MNIST classifier where the batch has labels. Weights are (inputs, outputs)."""
    x = batch["images"] if "labels" in batch else batch["x"]
    layers = sorted({name.partition(".")[0] for name in parameters})
    for layer in layers:
        x = x @ parameters[f"{layer}.weight"] + parameters[f"{layer}.bias"]
        if layer != layers[-1]:
            x = jnp.maximum(x, 0)
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


@functools.partial(jax.jit, static_argnames=("count", "unflatten"), donate_argnames="carry")
def steps(count: int, unflatten: Any, carry: Carry, feed: Feed, start: Any, learning_rate: Any) -> Any:
    """The carry after `count` steps, and the losses. `unflatten` makes the dict of parameters of what is carried."""

    def take(carry: Carry, step: Any) -> Any:
        loss, gradients = jax.value_and_grad(lambda held: loss_of(unflatten(held), feed.batch(step)))(carry.parameters)
        return adam(carry, gradients, learning_rate), loss

    return jax.lax.scan(take, carry, start + jnp.arange(count))


def as_they_are(parameters: Any) -> Any:
    """What is carried is the dict itself."""
    return parameters


def by_hand(setup: Setup) -> Prepared:
    """Parameters and memory as dicts of arrays."""
    return _prepared(setup, as_they_are, as_they_are)


def flat(setup: Setup) -> Prepared:
    """Parameters and memory as one vector each, so that an update is one operation for all of them."""
    example = to_device(_turned(setup.states[0].parameters), setup.how.dtype, setup.how.device)
    return _prepared(setup, lambda tree: ravel_pytree(tree)[0], ravel_pytree(example)[1])


def _prepared(setup: Setup, flatten: Any, unflatten: Any) -> Prepared:
    how, feed, state = setup.how, setup.feeds[0], setup.states[0]

    def start() -> Carry:
        moments = moments_from_state(state, how.dtype)
        trees = (state.parameters, moments.exp_avg, moments.exp_avg_sq)
        held, mu, nu = (flatten(to_device(_turned(tree), how.dtype, how.device)) for tree in trees)
        return Carry(held, jnp.array(moments.step, "int32"), mu, nu)

    def run(placed: Carry) -> Any:
        return steps(len(how.indices), unflatten, placed, feed, how.start, how.learning_rate)

    def read(done: Any) -> list[Outcome]:
        carry, losses = done
        held, mu, nu = (
            _turned(to_host(unflatten(tree))) for tree in (carry.parameters, carry.exp_avg, carry.exp_avg_sq)
        )
        return [Outcome(np.array(losses), State(held, moments_to_arrays(Moments(int(carry.step), mu, nu))))]

    return Prepared(start, run, read)


def _turned(arrays: Arrays) -> Arrays:
    """Weights from (outputs, inputs) to (inputs, outputs), and back; in the order of the state."""
    return {name: np.ascontiguousarray(array.T) for name, array in arrays.items()}
