"""The whole run with a step in three kernels of our own, in one loop."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.experimental import pallas as pl
from jax.experimental.pallas import triton as plgpu

from benchmarks.jax_side import kernels
from benchmarks.jax_side.kernels import Plan
from benchmarks.jax_side.padded import filled_up
from benchmarks.jax_side.problems import Setup
from benchmarks.kernels import COLUMNS, TF32, WHOLE, Tile, corrections, stack_of
from benchmarks.prepared import Outcome, Prepared
from jaxnet.arrays import Moments, moments_from_state, moments_to_arrays
from jaxnet.settings import dtype_of
from parity.recording import State

TOGETHER = 10
"""Steps in an iteration of the loop: its counter is a kernel, and with 5 kernels or more it becomes a CUDA graph."""


class Held(NamedTuple):
    """What a step hands on: the weights and both of Adam's means, a matrix each."""

    weights: jax.Array
    exp_avg: jax.Array
    exp_avg_sq: jax.Array


class Fed(NamedTuple):
    """What the steps are fed: data, and for each step its rows and Adam's corrections."""

    images: jax.Array
    labels: jax.Array
    rows: jax.Array
    corrections: jax.Array


def call(plan: Plan, kernel: Callable[..., None], tile: Tile, grid: tuple[int, ...], **others: Any) -> Any:
    """The kernel as a function of arrays."""
    return pl.pallas_call(
        functools.partial(kernel, plan, tile), grid=grid, interpret=plan.interpret, name=kernel.__name__,
        compiler_params=plgpu.CompilerParams(num_warps=tile.warps, num_stages=tile.stages), **others,
    )  # fmt: skip


def take(plan: Plan, fed: Fed, step: tuple[Any, Any], held: Held, losses: jax.Array) -> tuple[Held, jax.Array]:
    """Weights and means after a step, the second number ahead of the first, and all losses, its own among them."""
    stack, dtype = plan.stack, held.weights.dtype
    first, net, update = TF32 if plan.tf32 else WHOLE
    inputs, gradients = (
        jax.ShapeDtypeStruct((stack.examples, columns), dtype)  # type: ignore[no-untyped-call]
        for columns in (stack.height, 3 * COLUMNS)
    )
    table = call(
        plan, kernels.first_layer, first, (stack.examples // first.examples, COLUMNS // first.units), out_shape=inputs
    )(*step, fed.images, fed.rows, held.weights)
    table, out, losses = call(
        plan, kernels.there_and_back, net, (stack.examples // net.examples,),
        out_shape=(inputs, gradients, losses), input_output_aliases={5: 0, 6: 2},
    )(*step, fed.labels, fed.rows, held.weights, table, losses)  # fmt: skip
    held = call(
        plan, kernels.update, update, (stack.tiles,), out_shape=held, input_output_aliases={5: 0, 6: 1, 7: 2}
    )(*step, table, out, fed.corrections, *held)  # fmt: skip
    return held, losses


@functools.partial(jax.jit, static_argnames=("plan", "count"), donate_argnames="held")
def steps(plan: Plan, count: int, held: Held, fed: Fed) -> tuple[Held, jax.Array]:
    """Weights and means after all steps, and the losses of all examples, (steps, examples)."""
    losses = jnp.zeros((count, plan.stack.examples), held.weights.dtype)

    def several(number: int, start: Any, held: Held, losses: jax.Array) -> tuple[Any, Held, jax.Array]:
        # How far ahead is a constant, lying ready: to add it up here would be a kernel more for every step.
        for ahead in range(number):
            held, losses = take(plan, fed, (start, np.int32(ahead)), held, losses)
        return start + number, held, losses

    begun = jnp.int32(0), held, losses
    whole = count - count % TOGETHER
    done = jax.lax.while_loop(lambda now: now[0] < whole, lambda now: several(TOGETHER, *now), begun)
    _, held, losses = several(count % TOGETHER, *done)
    return held, jnp.sum(losses, 1)


def three_kernels(setup: Setup, interpret: bool = False) -> Prepared:
    """The run of the MNIST classifier."""
    how, state = setup.how, setup.states[0]
    stack = stack_of(state.parameters, setup.case.batch_size)
    moments = moments_from_state(state, how.dtype)
    floats = dtype_of(how.dtype).type
    feed = filled_up(stack.sizes, setup.feeds[0])
    assert feed.rows is not None
    fed = Fed(
        feed.data["images"], feed.data["labels"], feed.rows[how.indices.start : how.indices.stop],
        jax.device_put(floats(corrections(moments.step, len(how.indices), how.learning_rate))),
    )  # fmt: skip
    plan = Plan(stack, how.precision == "tf32", interpret)

    def start() -> Held:
        trees = state.parameters, moments.exp_avg, moments.exp_avg_sq
        return Held(*(jax.device_put(floats(stack.matrix(tree))) for tree in trees))

    def read(done: Any) -> list[Outcome]:
        weights, mu, nu = map(stack.arrays, jax.device_get(done[0]))
        found = State(weights, moments_to_arrays(Moments(moments.step + len(how.indices), mu, nu)))
        return [Outcome(np.array(done[1]), found)]

    return Prepared(start, lambda placed: steps(plan, len(how.indices), placed, fed), read)
