"""The variants in JAX, each made ready to run: `prepare` and what it calls."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from benchmarks.jax_side.by_hand import by_hand, flat
from benchmarks.jax_side.padded import padded
from benchmarks.jax_side.problems import Setup
from benchmarks.jax_side.turned import turned
from benchmarks.prepared import Outcome, Prepared
from jaxnet.arrays import Moments, Run, moments_from_state, moments_to_arrays
from jaxnet.loops import begin, end, one_step, scan, scan_together, take_step
from jaxnet.problem import Feed, Problem, stack_feeds
from jaxnet.settings import device_of
from parity.recording import State

UNROLL = 10


def prepare(name: str, setup: Setup) -> Prepared:
    """The variant of this name. What compiles does so in its first run."""
    return PREPARE[name](setup)


def outcome(run: Run) -> Outcome:
    """A wing's run in the words of the benchmark."""
    return Outcome(run.losses, State(*run.state))


def _of_carry(setup: Setup, run: Callable[[Any], Any]) -> Prepared:
    """A variant from model and memory to model and memory, and losses."""
    problem = setup.problem

    def read(done: Any) -> list[Outcome]:
        (model, memory), losses = done
        return [outcome(end(problem, model, memory, losses))]

    return Prepared(lambda: begin(problem, setup.states[0], setup.how), run, read)


def _nnx_jit(setup: Setup) -> Prepared:
    """The loop of Flax's documentation: model and optimizer are objects that the compiled step changes.

    Source: Flax, NNX basics and MNIST tutorial, `train_step`.
    """
    problem, how, feed, state = setup.problem, setup.how, setup.feeds[0], setup.states[0]
    # Once: nnx.jit compiles anew for an optimizer whose transformation is another object, of the same rate or not.
    transformation = problem.optimizer(how.learning_rate)

    @nnx.jit
    def train_step(model: Any, optimizer: Any, feed: Feed, step: Any) -> Any:
        loss, gradients = nnx.value_and_grad(problem.loss)(model, feed.batch(step))
        optimizer.update(model, gradients)
        return loss

    def run(placed: Any) -> Any:
        model, optimizer = placed
        losses = [train_step(model, optimizer, feed, step) for step in how.indices]
        return nnx.state(model), nnx.state(optimizer), losses

    def read(done: Any) -> list[Outcome]:
        model, optimizer, losses = done
        adam = optimizer["opt_state"][0]

        def arrays(held: Any) -> Any:
            module = problem.from_arrays(state.parameters, how.dtype, how.device)
            nnx.update(module, held)
            return problem.to_arrays(module)

        moments = Moments(int(adam.count[...]), arrays(adam.mu), arrays(adam.nu))
        return [Outcome(np.array(jax.device_get(losses)), State(arrays(model), moments_to_arrays(moments)))]

    return Prepared(lambda: _nnx_objects(setup, transformation), run, read)


def _nnx_objects(setup: Setup, transformation: Any) -> tuple[Any, Any]:
    """The model and its optimizer as they stand in the first state."""
    problem, how, state = setup.problem, setup.how, setup.states[0]
    model = problem.from_arrays(state.parameters, how.dtype, how.device)
    optimizer = nnx.Optimizer(model, transformation, wrt=nnx.Param)
    moments, adam = moments_from_state(state, how.dtype), optimizer.opt_state[0]
    for held, arrays in ((adam.mu, moments.exp_avg), (adam.nu, moments.exp_avg_sq)):
        nnx.update(held, nnx.state(problem.from_arrays(arrays, how.dtype, how.device)))
    adam.count[...] = jnp.array(moments.step, "int32")
    return model, optimizer


@functools.partial(jax.jit, static_argnames="problem")
def _state_step(problem: Problem, carry: Any, feed: Feed, step: Any, learning_rate: Any) -> Any:
    return take_step(problem, carry, feed.batch(step), learning_rate)


def _jit_state(setup: Setup) -> Prepared:
    def run(carry: Any) -> Any:
        losses = []
        for step in setup.how.indices:
            carry, loss = _state_step(setup.problem, carry, setup.feeds[0], step, setup.how.learning_rate)
            losses.append(loss)
        return carry, losses

    return _of_carry(setup, run)


def _stepped(setup: Setup) -> Prepared:
    problem, how, feed = setup.problem, setup.how, setup.feeds[0]

    def run(placed: Any) -> Any:
        leaves, structure = jax.tree.flatten(placed)
        losses = []
        for step in how.indices:
            leaves, loss = one_step(problem, structure, leaves, feed, step, how.learning_rate)
            losses.append(loss)
        return jax.tree.unflatten(structure, leaves), losses

    return _of_carry(setup, run)


def _ahead_of_time(setup: Setup) -> Prepared:
    problem, how, feed = setup.problem, setup.how, setup.feeds[0]
    leaves, structure = jax.tree.flatten(begin(problem, setup.states[0], how))
    program = one_step.lower(problem, structure, leaves, feed, how.start, how.learning_rate).compile()

    def run(placed: Any) -> Any:
        leaves, losses = jax.tree.leaves(placed), []
        for step in how.indices:
            leaves, loss = program(leaves, feed, step, how.learning_rate)
            losses.append(loss)
        return jax.tree.unflatten(structure, leaves), losses

    return _of_carry(setup, run)


def _whole_run(setup: Setup) -> Prepared:
    problem, how, feed = setup.problem, setup.how, setup.feeds[0]
    return _of_carry(setup, lambda placed: scan(problem, len(how.indices), placed, feed, how.start, how.learning_rate))


@functools.partial(jax.jit, static_argnames=("problem", "count"), donate_argnames="carry")
def _scan_unrolled(problem: Problem, count: int, carry: Any, feed: Feed, start: Any, learning_rate: Any) -> Any:
    steps = start + jnp.arange(count)
    return jax.lax.scan(
        lambda carry, step: take_step(problem, carry, feed.batch(step), learning_rate),
        carry, steps, unroll=min(UNROLL, count),
    )  # fmt: skip


def _whole_run_unrolled(setup: Setup) -> Prepared:
    problem, how, feed = setup.problem, setup.how, setup.feeds[0]
    return _of_carry(
        setup, lambda placed: _scan_unrolled(problem, len(how.indices), placed, feed, how.start, how.learning_rate)
    )


def _many_seeds(setup: Setup) -> Prepared:
    problem, how, feed = setup.problem, setup.how, stack_feeds(setup.feeds)
    begun = jax.tree.map(lambda *leaves: jnp.stack(leaves), *(begin(problem, state, how) for state in setup.states))

    def run(placed: Any) -> Any:
        return scan_together(problem, len(how.indices), placed, feed, how.start, how.learning_rate)

    def read(done: Any) -> list[Outcome]:
        # All of it at once: to bring each seed's arrays from a GPU by themselves takes seconds for a thousand.
        stacked, table = jax.device_put(done, device_of("cpu"))
        runs = [jax.tree.map(lambda leaf, seed=seed: leaf[seed], stacked) for seed in range(len(setup.states))]
        return [
            outcome(end(problem, model, memory, losses)) for (model, memory), losses in zip(runs, table, strict=True)
        ]

    # A copy for each run, which takes it over; to place a thousand seeds anew takes seconds.
    return Prepared(lambda: jax.tree.map(jnp.copy, begun), run, read)


def _three_kernels(setup: Setup) -> Prepared:
    # Only here: no other variant waits until Pallas is imported.
    from benchmarks.jax_side.three_kernels import three_kernels

    return three_kernels(setup)


PREPARE: dict[str, Callable[[Setup], Prepared]] = {
    "nnx_jit": _nnx_jit,
    "jit_state": _jit_state,
    "stepped": _stepped,
    "ahead_of_time": _ahead_of_time,
    "whole_run": _whole_run,
    "whole_run_unrolled": _whole_run_unrolled,
    "whole_run_by_hand": by_hand,
    "whole_run_flat": flat,
    "whole_run_padded": padded,
    "whole_run_turned": turned,
    "whole_run_three_kernels": _three_kernels,
    # Their processes start with another XLA_FLAGS.
    "whole_run_no_command_buffer": _whole_run,
    "whole_run_while_command_buffer": _whole_run,
    "many_seeds": _many_seeds,
    "many_seeds_padded": padded,
}
