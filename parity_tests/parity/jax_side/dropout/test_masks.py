"""Dropout whose masks come from outside."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen, nnx
from jax.lax import scan

from parity.arrays.draws import mask, stream
from parity.errors import NotCheckable
from parity.jax_side.dropout.keys import Keys
from parity.jax_side.dropout.masks import injected

ONES = jnp.ones((6, 8))


def test_a_dropout_leaves_what_the_mask_of_its_call_says_and_scales_it() -> None:
    dropout = nnx.Dropout(0.25, rngs=nnx.Rngs(0))
    with injected(jnp.asarray(stream(1, 2)), Keys()):
        found = dropout(ONES), dropout(ONES)
    for call, output in enumerate(found):
        np.testing.assert_array_equal(output, mask(stream(1, 2), call, (6, 8), 0.25) / np.float32(0.75))


@pytest.mark.parametrize("order", [(0, 2, 3, 1), (0, 1, 2, 3)], ids=["images", "attention"])
def test_of_four_axes_the_mask_is_the_one_of_torch_wherever_the_channels_are(order: tuple[int, ...]) -> None:
    ones = np.ones((2, 3, 4, 4))
    with injected(jnp.asarray(stream(1, 2)), Keys()):
        output = nnx.Dropout(0.5, rngs=nnx.Rngs(0))(jnp.asarray(ones.transpose(order)))
    np.testing.assert_array_equal(np.asarray(output) != 0, mask(stream(1, 2), 0, ones.shape, 0.5).transpose(order))


def test_it_is_traced_and_another_stream_needs_no_other_program() -> None:
    traced = 0

    @jax.jit
    def dropped(numbers: jax.Array) -> jax.Array:
        nonlocal traced
        traced += 1
        with injected(numbers, Keys()):
            found: jax.Array = nnx.Dropout(0.5, rngs=nnx.Rngs(0))(ONES)
        return found

    for step in (0, 1):
        expected = mask(stream(1, step), 0, (6, 8), 0.5)
        np.testing.assert_array_equal(dropped(jnp.asarray(stream(1, step))) != 0, expected)
    assert traced == 1


def test_neither_evaluation_nor_a_rate_of_0_takes_a_mask() -> None:
    with injected(jnp.asarray(stream(1, 2)), Keys()):
        np.testing.assert_array_equal(nnx.Dropout(0.5, rngs=nnx.Rngs(0))(ONES, deterministic=True), ONES)
        np.testing.assert_array_equal(nnx.Dropout(0.0, rngs=nnx.Rngs(0))(ONES), ONES)
        np.testing.assert_array_equal(nnx.Dropout(0.5, rngs=nnx.Rngs(0))(ONES) != 0, mask(stream(1, 2), 0, (6, 8), 0.5))


def test_a_rate_of_1_leaves_nothing_and_takes_no_mask() -> None:
    with injected(jnp.asarray(stream(1, 2)), Keys()):
        assert not nnx.Dropout(1.0, rngs=nnx.Rngs(0))(ONES).any()
        np.testing.assert_array_equal(nnx.Dropout(0.5, rngs=nnx.Rngs(0))(ONES) != 0, mask(stream(1, 2), 0, (6, 8), 0.5))


def test_afterwards_dropout_is_as_before() -> None:
    before = jax.random.bernoulli, jax.lax.scan
    with pytest.raises(ZeroDivisionError), injected(jnp.asarray(stream(0, 0)), Keys()):
        raise ZeroDivisionError
    assert (jax.random.bernoulli, jax.lax.scan) == before


# Functions by hand

KEYS = jax.random.split(jax.random.key(0), 6)


def kept(key: jax.Array, x: Any = ONES, rate: Any = 0.5) -> jax.Array:
    return jax.random.bernoulli(key, 1 - rate, x.shape)


def expected(*calls: int, shape: tuple[int, ...] = (6, 8), rate: float = 0.5) -> Any:
    return np.stack([mask(stream(1, 2), call, shape, rate) for call in calls])


def test_what_draws_true_and_false_by_one_rate_takes_a_mask_of_any_rate_that_is_only_known_as_it_runs() -> None:
    with injected(jnp.asarray(stream(1, 2)), Keys()), jax.enable_x64(True):
        found = jax.jit(lambda rate: kept(KEYS[0], rate=rate))(0.25)
        own = jax.random.bernoulli(KEYS[1], jnp.full(3, 0.5, jnp.float32))
    np.testing.assert_array_equal(found, expected(0, rate=0.25)[0])
    np.testing.assert_array_equal(own, jax.random.bernoulli(KEYS[1], jnp.full(3, 0.5)))


def test_one_key_for_two_is_refused() -> None:
    with injected(jnp.asarray(stream(1, 2)), Keys()), pytest.raises(NotCheckable, match="two dropouts with one key"):
        jax.make_jaxpr(lambda key: kept(key) & kept(key))(KEYS[0])


def test_examples_that_are_mapped_over_have_one_mask_together_and_with_one_key_the_same() -> None:
    with injected(jnp.asarray(stream(1, 2)), Keys()):
        together = jax.vmap(kept)(KEYS, ONES)
        same = jax.vmap(lambda x: kept(KEYS[0], x))(ONES)
    np.testing.assert_array_equal(together, expected(0)[0])
    np.testing.assert_array_equal(same, np.broadcast_to(expected(1, shape=(8,))[0], (6, 8)))


def test_a_function_that_is_compiled_by_itself_has_another_mask_at_every_call() -> None:
    for own in (jax.jit(kept), jax.checkpoint(kept)):
        for _ in range(2):
            with injected(jnp.asarray(stream(1, 2)), Keys()):
                np.testing.assert_array_equal(jnp.stack([own(KEYS[0]), own(KEYS[1])]), expected(0, 1))


def test_attention_leaves_out_what_a_mask_of_its_weights_says() -> None:
    ones = jnp.ones((2, 5, 3, 4))
    with injected(jnp.asarray(stream(1, 2)), Keys()):
        found = nnx.dot_product_attention(
            ones, ones, ones, dropout_rng=KEYS[0], dropout_rate=0.5, broadcast_dropout=False, deterministic=False
        )
    weights = expected(0, shape=(2, 3, 5, 5))[0] / (5 * 0.5)
    np.testing.assert_allclose(found[..., 0], weights.sum(-1).transpose(0, 2, 1), rtol=1e-6)


# Loops


def turn(carry: None, key: jax.Array) -> tuple[None, jax.Array]:
    return None, kept(key)


def twice(carry: None, keys: jax.Array) -> Any:
    """A mask, then a loop of two turns."""
    return None, jnp.concatenate([kept(keys[0])[None], jax.lax.scan(turn, None, keys[1:])[1]])


@jax.jit
def compiled_loop(keys: jax.Array) -> Any:
    return jax.lax.scan(turn, None, keys)[1]


def turn_by_turn(function: Any) -> Any:
    with jax.disable_jit():
        return function()


LOOPS: dict[str, tuple[Any, list[int]]] = {
    "jax.lax.scan": (lambda: jax.lax.scan(turn, None, KEYS)[1], [0, 1, 2, 3, 4, 5]),
    "in reverse": (lambda: jax.lax.scan(turn, None, KEYS, reverse=True)[1], [5, 4, 3, 2, 1, 0]),
    "by its name": (lambda: scan(turn, None, KEYS)[1], [0, 1, 2, 3, 4, 5]),
    "jax.lax.map": (lambda: jax.lax.map(kept, KEYS), [0, 1, 2, 3, 4, 5]),
    "a loop in a loop": (
        lambda: jax.lax.scan(twice, None, KEYS.reshape(2, 3))[1].reshape(6, *ONES.shape), [0, 1, 2, 3, 4, 5],
    ),
    "a loop that is compiled by itself": (
        lambda: jnp.concatenate([compiled_loop(KEYS[:3]), compiled_loop(KEYS[3:])]), [0, 1, 2, 3, 4, 5],
    ),
    "jax.disable_jit": (lambda: turn_by_turn(lambda: jax.lax.scan(turn, None, KEYS)[1]), [0, 1, 2, 3, 4, 5]),
}  # fmt: skip


@pytest.mark.parametrize("loop", LOOPS)
def test_every_turn_has_masks_of_its_own_in_the_order_in_which_they_are_run(loop: str) -> None:
    function, calls = LOOPS[loop]
    with injected(jnp.asarray(stream(1, 2)), Keys()):
        found, after = function(), kept(jax.random.key(1))
    np.testing.assert_array_equal(found, expected(*calls))
    np.testing.assert_array_equal(after, expected(6)[0])


# Branches


def branched(pred: Any, key: jax.Array) -> jax.Array:
    """Two masks in one branch, one in the other, by one key that both know."""
    own, other = jax.random.split(key)
    found: jax.Array = jax.lax.cond(pred, lambda x: x & kept(own) & kept(other), lambda x: x & kept(own), ONES > 0)
    return found


def traced(function: Callable[..., Any], *given: Any) -> Any:
    """What a pass gives that is compiled as a whole."""

    def once(*given: Any) -> Any:
        with injected(jnp.asarray(stream(1, 2)), Keys()):
            return function(*given)

    return jax.jit(once)(*given)


@pytest.mark.parametrize("pred", [True, False])
def test_the_branch_that_is_run_has_the_next_masks_and_what_follows_those_after_it(pred: bool) -> None:
    found = traced(lambda pred: jnp.stack([branched(pred, KEYS[0]), kept(KEYS[1])]), pred)
    first, second, third = expected(0, 1, 2)
    np.testing.assert_array_equal(found, [first & second, third] if pred else [first, second])


@pytest.mark.parametrize("transformed", [lambda f: f, jax.jit, jax.checkpoint, jax.vmap])
@pytest.mark.parametrize(("pred", "calls"), [(True, 2), (False, 1)])
def test_a_branch_that_is_known_beforehand_counts_as_if_it_stood_there(
    transformed: Any, pred: bool, calls: int
) -> None:
    """As where the mode tells it, inside of functions that are compiled by themselves, too."""
    key = KEYS[:1] if transformed is jax.vmap else KEYS[0]
    found = traced(lambda: transformed(lambda key: branched(pred, key))(key).squeeze() & kept(KEYS[1]))
    np.testing.assert_array_equal(found, expected(*range(calls + 1)).all(0))


@pytest.mark.parametrize("index", [-1, 0, 1, 5])
def test_of_branches_by_a_number_the_nearest_is_known_beforehand(index: int) -> None:
    own, other, last = KEYS[:3]
    found = traced(lambda: jax.lax.switch(index, [lambda: kept(own), lambda: kept(own) & kept(other)]) & kept(last))
    np.testing.assert_array_equal(found, expected(*range(3 if index > 0 else 2)).all(0))


@pytest.mark.parametrize("index", [0, 1, 2])
def test_of_several_branches_with_as_many_masks_each_has_the_same(index: int) -> None:
    own = KEYS[0]
    with injected(jnp.asarray(stream(1, 2)), Keys()):
        found = jax.lax.switch(index, [lambda: kept(own), lambda: ~kept(own), lambda: kept(own)])
        after = kept(KEYS[1])
    np.testing.assert_array_equal([found ^ (index == 1), after], expected(0, 1))


def test_branches_in_a_loop_and_a_loop_in_a_branch_count_on() -> None:
    def turn(carry: None, given: Any) -> Any:
        return carry, branched(*given)

    def function(preds: Any) -> Any:
        _, found = jax.lax.scan(turn, None, (preds, KEYS[:3]))
        inner = jax.lax.cond(preds[0], compiled_loop, lambda keys: jnp.zeros((3, *ONES.shape), bool), KEYS[3:])
        return found, inner, kept(jax.random.key(1))

    found, inner, after = traced(function, jnp.array([True, False, True]))
    a, b, c, d, e = expected(0, 1, 2, 3, 4)
    np.testing.assert_array_equal(found, [a & b, c, d & e])
    np.testing.assert_array_equal(inner, expected(5, 6, 7))
    np.testing.assert_array_equal(after, expected(8)[0])


def test_inside_of_vmap_each_example_may_take_another_branch_of_as_many_masks() -> None:
    def one(pred: Any, key: jax.Array) -> jax.Array:
        found: jax.Array = jax.lax.cond(pred, lambda: kept(key), lambda: ~kept(key))
        return found

    preds = jnp.array([True, False] * 3)
    with injected(jnp.asarray(stream(1, 2)), Keys()):
        found = jax.vmap(one)(preds, KEYS)
    np.testing.assert_array_equal(found, expected(0, shape=(6, 6, 8))[0] ^ ~np.asarray(preds)[:, None, None])


def test_a_key_in_a_branch_that_was_another_dropouts_is_refused() -> None:
    def function(pred: Any, key: jax.Array) -> jax.Array:
        found: jax.Array = jax.lax.cond(pred, lambda: kept(key), lambda: ONES > 0) & kept(key)
        return found

    with pytest.raises(NotCheckable, match="two dropouts with one key"):
        traced(lambda key: function(key.ndim == 0, key), KEYS[0])


@pytest.mark.parametrize("transformed", [jax.jit, jax.checkpoint, jax.vmap])
def test_more_masks_in_one_branch_inside_of_another_function_are_refused(transformed: Any) -> None:
    function = transformed(lambda pred: branched(pred, KEYS[0]))
    with pytest.raises(NotCheckable, match="more dropouts in one branch than in another"):
        traced(function, jnp.array([True]) if transformed is jax.vmap else True)


# Flax Linen


class Twice(linen.Module):
    """Two dropouts: one told when it is called, one when it is made."""

    broadcast_dims: tuple[int, ...] = ()

    @linen.compact
    def __call__(self, x: jax.Array, deterministic: bool) -> tuple[jax.Array, jax.Array]:
        first = linen.Dropout(0.25, self.broadcast_dims)(x, deterministic)
        return first, linen.Dropout(0.5, deterministic=deterministic)(inputs=x)


def test_a_dropout_of_linen_takes_its_masks_likewise() -> None:
    with injected(jnp.asarray(stream(1, 2)), Keys()):
        first, second = Twice().apply({}, ONES, False, rngs={"dropout": KEYS[0]})
        np.testing.assert_array_equal(Twice().apply({}, ONES, True), [ONES, ONES])
    np.testing.assert_array_equal(first, mask(stream(1, 2), 0, (6, 8), 0.25) / np.float32(0.75))
    np.testing.assert_array_equal(second, mask(stream(1, 2), 1, (6, 8), 0.5) * 2)


def test_a_mask_may_be_one_for_a_whole_axis() -> None:
    with injected(jnp.asarray(stream(1, 2)), Keys()):
        first, _ = Twice((0, -1)).apply({}, jnp.ones((2, 4, 3)), False, rngs={"dropout": KEYS[0]})
    expected = mask(stream(1, 2), 0, (1, 4, 1), 0.25) / np.float32(0.75)
    np.testing.assert_array_equal(first, np.broadcast_to(expected, (2, 4, 3)))


def test_a_dropout_of_linen_that_is_told_no_mode_is_an_error_of_its_own() -> None:
    with injected(jnp.asarray(stream(1, 2)), Keys()), pytest.raises(ValueError, match="deterministic"):
        linen.Dropout(0.5).apply({}, ONES)
