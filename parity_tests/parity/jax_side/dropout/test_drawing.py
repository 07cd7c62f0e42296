"""Whether a program draws random numbers, or repeats a dropout, wherever in it that is."""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp
import pytest
from flax import linen, nnx

from parity.arrays.draws import stream
from parity.errors import NotCheckable
from parity.jax_side.dropout.drawing import compiled
from parity.jax_side.dropout.keys import Keys
from parity.jax_side.dropout.masks import injected

ONES = jnp.ones(3)
KEY = jax.random.key(0)


def noise(x: jax.Array) -> jax.Array:
    return x + jax.random.normal(KEY, x.shape)


def in_a_loop(x: jax.Array) -> jax.Array:
    found: jax.Array = jax.lax.fori_loop(0, 2, lambda _, found: noise(found), x)
    return found


def in_a_branch(x: jax.Array) -> jax.Array:
    found: jax.Array = jax.lax.cond(x[0] > 0, lambda x: x, noise, x)
    return found


def in_a_gradient(x: jax.Array) -> jax.Array:
    found: jax.Array = jax.grad(lambda x: jax.checkpoint(noise)(x).sum())(x)
    return found


def by_a_stream(x: jax.Array) -> jax.Array:
    found: jax.Array = nnx.Dropout(0.5, rngs=nnx.Rngs(0))(x)
    return found


def by_make_rng(x: jax.Array) -> jax.Array:
    return jnp.asarray(linen.Dropout(0.5, deterministic=False).apply({}, x, rngs={"dropout": KEY}))


def with_an_old_key(x: jax.Array) -> jax.Array:
    return x + jax.random.uniform(jax.random.PRNGKey(0), x.shape)


def keys_only(x: jax.Array) -> jax.Array:
    nnx.Rngs(0).params()
    return x + jax.random.key_data(jax.random.split(KEY)[0])[0]


@pytest.mark.parametrize(
    "function", [noise, in_a_loop, in_a_branch, in_a_gradient, by_a_stream, by_make_rng, with_an_old_key]
)
def test_what_draws_is_told(function: Callable[[jax.Array], jax.Array]) -> None:
    told: list[int] = []
    compiled(function, lambda: told.append(1))(ONES)
    assert told == [1]


@pytest.mark.parametrize("function", [keys_only, jnp.sin])
def test_what_draws_nothing_is_not(function: Callable[[jax.Array], jax.Array]) -> None:
    told: list[int] = []
    compiled(function, lambda: told.append(1))(ONES)
    assert not told


def repeating(x: jax.Array) -> jax.Array:
    key = jax.random.key(0)
    found: jax.Array = jax.lax.scan(lambda x, _: (x * jax.random.bernoulli(key, 0.5, x.shape), None), x, length=2)[0]
    return found


def test_what_repeats_a_mask_is_refused_when_it_is_called() -> None:
    with (
        injected(jnp.asarray(stream(1, 2)), Keys()),
        pytest.raises(NotCheckable, match="with the same key in every turn"),
    ):
        compiled(repeating, lambda: None)(ONES)


def test_it_is_traced_once_for_each_shape_and_setting_and_told_each_time() -> None:
    traced: list[int] = []
    told: list[int] = []

    def counted(x: jax.Array, times: int) -> jax.Array:
        traced.append(times)
        return noise(x) if times > 1 else x

    function = compiled(counted, lambda: told.append(1), ("times",))
    for times in (1, 2, 2, 1):
        function(ONES, times=times)
    assert (traced, told) == ([1, 2], [1])
    function(jnp.ones(4), times=2)
    assert (traced, told) == ([1, 2, 2], [1, 1])
