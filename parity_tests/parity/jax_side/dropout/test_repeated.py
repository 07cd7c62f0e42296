"""Whether several turns of a loop get one mask, however the loop is written."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import pytest
from flax import nnx

from parity.arrays.draws import stream
from parity.errors import NotCheckable
from parity.jax_side.dropout.keys import Keys
from parity.jax_side.dropout.masks import injected
from parity.jax_side.dropout.repeated import check_masks

ONES = jnp.ones(3)
KEY = jax.random.key(0)
REAL = partial(jax.lax.scan)
REAL_COND = partial(jax.lax.cond)
"""Where nothing can stand in for them."""


def check(function: Callable[[jax.Array, jax.Array], Any]) -> None:
    def passed(x: jax.Array, key: jax.Array) -> Any:
        with injected(jnp.asarray(stream(1, 2)), Keys()):
            return function(x, key)

    check_masks(jax.make_jaxpr(passed)(ONES, KEY))


def drop(x: jax.Array, key: jax.Array) -> jax.Array:
    return jnp.where(jax.random.bernoulli(key, 0.5, x.shape), x, 0)


def split(x: jax.Array, key: jax.Array) -> Any:
    return jax.lax.scan(lambda x, key: (drop(x, key), None), x, jax.random.split(key, 2))[0]


def handed_on(x: jax.Array, key: jax.Array) -> Any:
    def turn(carried: Any, _: None) -> Any:
        x, key = carried
        own, key = jax.random.split(key)
        return (drop(x, own), key), None

    return jax.lax.scan(turn, (x, key), length=2)[0][0]


def folded(x: jax.Array, key: jax.Array) -> Any:
    return jax.lax.fori_loop(0, 2, lambda index, x: drop(x, jax.random.fold_in(key, index)), x)


def by_a_counter(x: jax.Array, _: jax.Array) -> Any:
    """The count of a stream is handed on, and its key is not divided."""
    return nnx.scan(lambda carried, _: ((nnx.Dropout(0.5, rngs=carried[1])(carried[0]), carried[1]), None), length=2)(
        (x, nnx.Rngs(0)), None
    )[0][0]


def kept(x: jax.Array, key: jax.Array) -> Any:
    """Computed again on the way back."""
    return jax.grad(lambda x: jax.checkpoint(split)(x, key).sum())(x)


def both(x: jax.Array, key: jax.Array) -> Any:
    """A loop in a loop: the keys of the inner one are divided anew in each turn of the outer one."""
    return jax.lax.scan(lambda x, key: (jax.jit(split)(x, key), None), x, jax.random.split(key, 2))[0]


def once(x: jax.Array, key: jax.Array) -> Any:
    return jax.lax.scan(lambda x, _: (drop(x, key), None), x, length=1)[0]


def in_a_branch(x: jax.Array, key: jax.Array) -> Any:
    def turn(x: jax.Array, key: jax.Array) -> Any:
        return jax.lax.cond(x.sum() > 1, drop, lambda x, _: x, x, key), None

    return jax.lax.scan(turn, x, jax.random.split(key, 2))[0]


@pytest.mark.parametrize("function", [split, handed_on, folded, by_a_counter, kept, both, once, in_a_branch, drop])
def test_masks_of_their_own_are_let_pass(function: Callable[[jax.Array, jax.Array], Any]) -> None:
    check(function)


def the_same(x: jax.Array, key: jax.Array) -> Any:
    return jax.lax.scan(lambda x, _: (drop(x, key), None), x, length=2)[0]


def carried_along(x: jax.Array, key: jax.Array) -> Any:
    """The key is handed on as it came."""
    return jax.lax.scan(lambda carried, _: ((drop(*carried), carried[1]), None), (x, key), length=2)[0][0]


def inside(x: jax.Array, key: jax.Array) -> Any:
    return jax.jit(jax.checkpoint(the_same))(x, key)


def on_the_way_back(x: jax.Array, key: jax.Array) -> Any:
    return jax.grad(lambda x: jax.checkpoint(the_same)(x, key).sum())(x)


def in_the_inner_one(x: jax.Array, key: jax.Array) -> Any:
    return jax.lax.scan(lambda x, key: (the_same(x, key), None), x, jax.random.split(key, 2))[0]


def in_the_outer_one(x: jax.Array, key: jax.Array) -> Any:
    """The inner loop has the same keys in each turn of the outer one."""
    return jax.lax.scan(lambda x, _: (handed_on(x, key), None), x, length=2)[0]


def in_a_branch_of_it(x: jax.Array, key: jax.Array) -> Any:
    def turn(x: jax.Array, _: None) -> Any:
        return jax.lax.cond(x.sum() > 1, drop, lambda x, _: x, x, key), None

    return jax.lax.scan(turn, x, length=2)[0]


@pytest.mark.parametrize(
    "function",
    [the_same, carried_along, inside, on_the_way_back, in_the_inner_one, in_the_outer_one, in_a_branch_of_it],
)
def test_a_key_that_is_the_same_in_each_turn_is_refused(function: Callable[[jax.Array, jax.Array], Any]) -> None:
    with pytest.raises(NotCheckable, match="a dropout inside a loop with the same key in every turn"):
        check(function)


def in_a_while(x: jax.Array, key: jax.Array) -> Any:
    def turn(carried: Any) -> Any:
        x, key = carried
        own, key = jax.random.split(key)
        return drop(x, own), key

    return jax.lax.while_loop(lambda carried: carried[0].sum() > 1, turn, (x, key))[0]


def out_of_sight(x: jax.Array, key: jax.Array) -> Any:
    return REAL(lambda x, key: (drop(x, key), None), x, jax.random.split(key, 2))[0]


def in_one_of_three(x: jax.Array, key: jax.Array) -> Any:
    """In sight, and around a branch that is not."""
    return jax.lax.switch(1, [drop, lambda x, key: REAL_COND(x.sum() > 1, drop, lambda x, _: x, x, key)], x, key)


@pytest.mark.parametrize("function", [lambda *of: REAL_COND(True, drop, lambda x, _: x, *of), in_one_of_three])
def test_a_branch_that_is_taken_out_of_sight_is_refused(function: Callable[[jax.Array, jax.Array], Any]) -> None:
    with pytest.raises(NotCheckable, match="the function that takes the branch was out of sight"):
        check(function)


@pytest.mark.parametrize("function", [in_a_while, out_of_sight])
def test_a_loop_whose_turns_are_not_counted_is_refused(function: Callable[[jax.Array, jax.Array], Any]) -> None:
    with pytest.raises(NotCheckable, match=r"cannot be counted, such as jax\.lax\.while_loop"):
        check(function)
