"""How the steps of a training are driven: one by one, all in one program, or for many seeds together.

Every loop takes a state, what the steps are fed and which steps to take, and gives back the losses and the state after
the last. Data stays on the device, and no loss is read before the end.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from jaxnet.arrays import Moments, Rate, Run, Start, State, moments_from_state, moments_to_arrays
from jaxnet.problem import Feed, Problem, stack_feeds
from jaxnet.settings import Settings, SettingsError, computing


class LoopError(Exception):
    """A loop cannot run here: one line that says what it needs and what to do."""


def stepped(problem: Problem, state: State, feed: Feed, how: Settings) -> Run:
    """One step after the other, each started from Python."""
    # A model is taken apart once for the run: for every call it would take longer than a small step.
    leaves, structure = jax.tree.flatten(begin(problem, state, how))
    losses = []
    for step in how.indices:
        leaves, loss = one_step(problem, structure, leaves, feed, step, how.learning_rate)
        losses.append(loss)
    model, memory = jax.tree.unflatten(structure, leaves)
    return end(problem, model, memory, losses)


def whole_run(problem: Problem, state: State, feed: Feed, how: Settings) -> Run:
    """All steps as one program: a CUDA graph in PyTorch, a scan in JAX."""
    model, memory = begin(problem, state, how)
    (model, memory), losses = scan(problem, len(how.indices), (model, memory), feed, how.start, how.learning_rate)
    return end(problem, model, memory, losses)


def many_seeds(problem: Problem, states: Sequence[State], feeds: Sequence[Feed], how: Settings) -> list[Run]:
    """Independent runs side by side, all as far as the first: states stacked, each step taken for all together."""
    carries = [begin(problem, state, how) for state in states]
    stacked = jax.tree.map(lambda *leaves: jnp.stack(leaves), *carries)
    feed, count = stack_feeds(feeds), len(how.indices)
    stacked, table = scan_together(problem, count, stacked, feed, how.start, how.learning_rate)
    runs = [jax.tree.map(lambda leaf, run=run: leaf[run], stacked) for run in range(len(states))]
    return [end(problem, model, memory, losses) for (model, memory), losses in zip(runs, table, strict=True)]


LOOPS: dict[str, Callable[..., Any]] = {"stepped": stepped, "whole_run": whole_run, "many_seeds": many_seeds}


def missing(loop: str, device: str) -> str:
    """Why a loop cannot run on this machine, one line; empty where it can."""
    return ""


def drive(
    loop: str,
    problem: Problem,
    seeds: Sequence[int],
    feed_of: Callable[[int, Settings], Feed],
    how: Settings,
    state: Start | None = None,
) -> list[Run]:
    """The run of every seed, from `state` or from the seed's draws.

    `many_seeds` runs all of them together, and a single seed together with the next one.

    Raises SettingsError, LoopError where this machine cannot run the loop, ValueError for a state that does not fit.
    """
    if loop not in LOOPS:
        raise SettingsError(f"loop is {loop!r}: expected {', '.join(LOOPS)}")
    if not seeds or min(seeds) < 0:
        raise SettingsError(f"seeds are {list(seeds)}: expected at least one, each 0 or above")
    if reason := missing(loop, how.device):
        raise LoopError(f"{reason}; --loop stepped runs everywhere")
    together = [*seeds, seeds[0] + 1] if loop == "many_seeds" and len(seeds) == 1 else seeds
    with computing(how.device, how.dtype, how.precision):
        states = [State(*(state or (problem.draw_parameters(seed), {}))) for seed in together]
        feeds = [feed_of(seed, how) for seed in together]
        if loop == "many_seeds":
            return many_seeds(problem, states, feeds, how)[: len(seeds)]
        return [LOOPS[loop](problem, *start, how) for start in zip(states, feeds, strict=True)]


def take_step(problem: Problem, carry: Any, batch: Any, learning_rate: Rate) -> tuple[Any, jax.Array]:
    """Model and memory after one step, and the loss before it."""
    model, memory = carry
    loss, gradients = jax.value_and_grad(problem.loss)(model, batch)
    if problem.optimizer is None:
        return (problem.update(model, gradients, learning_rate), memory), loss
    updates, memory = problem.optimizer(learning_rate).update(gradients, memory, model)
    return (optax.apply_updates(model, updates), memory), loss


# What is static is compiled anew when it changes; where a run starts, and how fast it learns, is not.
@functools.partial(jax.jit, static_argnames=("problem", "structure"), donate_argnames="leaves")
def one_step(
    problem: Problem, structure: Any, leaves: Any, feed: Feed, step: Any, learning_rate: Rate
) -> tuple[Any, jax.Array]:
    """The leaves of model and memory after one step, and the loss before it; the given leaves are used up."""
    carry, loss = take_step(problem, jax.tree.unflatten(structure, leaves), feed.batch(step), learning_rate)
    return jax.tree.leaves(carry), loss


def _steps(
    problem: Problem, count: int, carry: Any, feed: Feed, start: Any, learning_rate: Rate
) -> tuple[Any, jax.Array]:
    return jax.lax.scan(
        lambda carry, step: take_step(problem, carry, feed.batch(step), learning_rate), carry, start + jnp.arange(count)
    )


# The same as one program, which uses up the carry.
scan = jax.jit(_steps, static_argnames=("problem", "count"), donate_argnames="carry")


@functools.partial(jax.jit, static_argnames=("problem", "count"), donate_argnames="carries")
def scan_together(
    problem: Problem, count: int, carries: Any, feed: Feed, start: Any, learning_rate: Rate
) -> tuple[Any, jax.Array]:
    """What `scan` does, for several runs side by side: carries stacked on a first axis, losses (runs, count)."""
    # Where the feed has rows, it is their second axis that has the runs, and the data is shared.
    axes = (0, None) if feed.rows is None else (None, 1)
    return jax.vmap(
        lambda carry, data, rows: _steps(problem, count, carry, Feed(data, rows), start, learning_rate),
        in_axes=(0, *axes),
    )(carries, *feed)


def begin(problem: Problem, state: State, how: Settings) -> tuple[Any, Any]:
    """Model and the optimizer's memory as the state says; None for memory where the update is by hand."""
    model = problem.from_arrays(state.parameters, how.dtype, how.device)
    if problem.optimizer is None:
        return model, None
    moments = moments_from_state(state, how.dtype)
    mu, nu = (problem.from_arrays(arrays, how.dtype, how.device) for arrays in moments[1:])
    # Only the structure: the numbers are the state's.
    adam, *others = jax.eval_shape(problem.optimizer(how.learning_rate).init, model)
    return model, (adam._replace(count=jnp.array(moments.step, "int32"), mu=mu, nu=nu), *others)


def end(problem: Problem, model: Any, memory: Any, losses: Any) -> Run:
    """The run whose last step left this model and memory."""
    remembered = {}
    if memory is not None:
        adam = memory[0]
        remembered = moments_to_arrays(Moments(int(adam.count), problem.to_arrays(adam.mu), problem.to_arrays(adam.nu)))
    return Run(np.array(jax.device_get(losses)), State(problem.to_arrays(model), remembered))
