"""The check against products in TF32 without a GPU: factors rounded to it are right, factors cut off to it are not."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import pytest

from benchmarks import judge
from benchmarks.case import Case, layers_of
from benchmarks.checking import Drive, check
from benchmarks.jax_side.by_hand import Layout, prepared
from benchmarks.jax_side.problems import setup
from benchmarks.prepared import Outcome
from jaxnet.settings import computing
from parity.recording import Dtype, State

CASE = Case("mnist", steps=12, batch_size=60)
LOW_BITS = 13
"""Bits that a float32 has beyond a number in TF32."""
Round = Callable[[jax.Array], jax.Array]


@pytest.fixture(scope="module")
def judged() -> judge.Judge:
    return judge.make(CASE)


def cut(x: jax.Array) -> jax.Array:
    """As a matrix unit sees it: without the low bits."""
    bits = jax.lax.bitcast_convert_type(x, jnp.uint32) >> LOW_BITS << LOW_BITS
    return jax.lax.bitcast_convert_type(bits, jnp.float32)


def rounded(x: jax.Array) -> jax.Array:
    """To nearest, as `cvt.rna.tf32` does."""
    bits = jax.lax.bitcast_convert_type(x, jnp.uint32) + jnp.uint32(1 << LOW_BITS - 1)
    return cut(jax.lax.bitcast_convert_type(bits, jnp.float32))


def product_of(to_tf32: Round) -> Callable[[jax.Array, jax.Array], jax.Array]:
    """A product of factors in TF32, forward and backward."""

    @jax.custom_vjp
    def product(left: jax.Array, right: jax.Array) -> jax.Array:
        return to_tf32(left) @ to_tf32(right)

    def onward(left: jax.Array, right: jax.Array) -> Any:
        return product(left, right), (left, right)

    def back(factors: Any, gradient: jax.Array) -> Any:
        left, right = map(to_tf32, factors)
        return to_tf32(gradient) @ right.T, left.T @ to_tf32(gradient)

    product.defvjp(onward, back)
    return product


def drive_of(to_tf32: Round) -> Drive:
    """Steps of MNIST with such products in float32; in float64, with whole ones."""

    def loss(parameters: dict[str, jax.Array], batch: dict[str, jax.Array]) -> jax.Array:
        x = batch["images"]
        product = product_of(to_tf32) if x.dtype == jnp.float32 else jnp.matmul
        layers = layers_of(parameters)
        for layer in layers:
            x = product(x, parameters[f"{layer}.weight"].T) + parameters[f"{layer}.bias"]
            x = jax.nn.relu(x) if layer != layers[-1] else x
        picked = jnp.take_along_axis(x, batch["labels"][:, None], axis=1)[:, 0]
        return jnp.mean(jax.nn.logsumexp(x, axis=1) - picked)

    def drive(dtype: Dtype, start: int, count: int, state: State | None) -> Outcome:
        with computing("cpu", dtype):
            made = setup(CASE, dtype, seeds=[0], start=start, count=count, state=state)
            run = prepared(made, Layout(dict, dict, loss), made.feeds[0])
            return run.read(run.run(run.place()))[0]

    return drive


def test_factors_rounded_to_tf32_are_right(judged: judge.Judge) -> None:
    found = check(judged, "jax", "tf32", CASE.learning_rate, drive_of(rounded))
    assert (found.outcome, found.reason) == ("right", "")
    # 0.29 of a limit, which is four times what emulation shows.
    assert found.timed is not None
    assert 0.1 < found.timed < 0.5


def test_factors_cut_off_to_tf32_are_wrong(judged: judge.Judge) -> None:
    found = check(judged, "jax", "tf32", CASE.learning_rate, drive_of(cut))
    assert found.outcome == "wrong"
    assert found.reason.startswith("tf32, one step from step 0")
