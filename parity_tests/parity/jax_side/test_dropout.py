"""Dropout whose masks come from outside."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen, nnx

from parity.draws import mask, stream
from parity.jax_side.dropout import injected

ONES = jnp.ones((6, 8))


def test_a_dropout_leaves_what_the_mask_of_its_call_says_and_scales_it() -> None:
    dropout = nnx.Dropout(0.25, rngs=nnx.Rngs(0))
    with injected(jnp.asarray(stream(1, 2))):
        found = dropout(ONES), dropout(ONES)
    for call, output in enumerate(found):
        np.testing.assert_array_equal(output, mask(stream(1, 2), call, (6, 8), 0.25) / np.float32(0.75))


@pytest.mark.parametrize("order", [(0, 2, 3, 1), (0, 1, 2, 3)], ids=["images", "attention"])
def test_of_four_axes_the_mask_is_the_one_of_torch_wherever_the_channels_are(order: tuple[int, ...]) -> None:
    ones = np.ones((2, 3, 4, 4))
    with injected(jnp.asarray(stream(1, 2))):
        output = nnx.Dropout(0.5, rngs=nnx.Rngs(0))(jnp.asarray(ones.transpose(order)))
    np.testing.assert_array_equal(np.asarray(output) != 0, mask(stream(1, 2), 0, ones.shape, 0.5).transpose(order))


def test_it_is_traced_and_another_stream_needs_no_other_program() -> None:
    traced = 0

    @jax.jit
    def dropped(numbers: jax.Array) -> jax.Array:
        nonlocal traced
        traced += 1
        with injected(numbers):
            found: jax.Array = nnx.Dropout(0.5, rngs=nnx.Rngs(0))(ONES)
        return found

    for step in (0, 1):
        expected = mask(stream(1, step), 0, (6, 8), 0.5)
        np.testing.assert_array_equal(dropped(jnp.asarray(stream(1, step))) != 0, expected)
    assert traced == 1


def test_neither_evaluation_nor_a_rate_of_0_takes_a_mask() -> None:
    with injected(jnp.asarray(stream(1, 2))):
        np.testing.assert_array_equal(nnx.Dropout(0.5, rngs=nnx.Rngs(0))(ONES, deterministic=True), ONES)
        np.testing.assert_array_equal(nnx.Dropout(0.0, rngs=nnx.Rngs(0))(ONES), ONES)
        np.testing.assert_array_equal(nnx.Dropout(0.5, rngs=nnx.Rngs(0))(ONES) != 0, mask(stream(1, 2), 0, (6, 8), 0.5))


def test_afterwards_dropout_is_as_before() -> None:
    before = nnx.Dropout.__call__
    with pytest.raises(ZeroDivisionError), injected(jnp.asarray(stream(0, 0))):
        raise ZeroDivisionError
    assert nnx.Dropout.__call__ is before


# Flax Linen


class Twice(linen.Module):
    """Two dropouts: one told when it is called, one when it is made."""

    broadcast_dims: tuple[int, ...] = ()

    @linen.compact
    def __call__(self, x: jax.Array, deterministic: bool) -> tuple[jax.Array, jax.Array]:
        first = linen.Dropout(0.25, self.broadcast_dims)(x, deterministic)
        return first, linen.Dropout(0.5, deterministic=deterministic)(inputs=x)


def test_a_dropout_of_linen_takes_its_masks_likewise() -> None:
    with injected(jnp.asarray(stream(1, 2))):
        first, second = Twice().apply({}, ONES, False)
        np.testing.assert_array_equal(Twice().apply({}, ONES, True), [ONES, ONES])
    np.testing.assert_array_equal(first, mask(stream(1, 2), 0, (6, 8), 0.25) / np.float32(0.75))
    np.testing.assert_array_equal(second, mask(stream(1, 2), 1, (6, 8), 0.5) * 2)


def test_a_mask_may_be_one_for_a_whole_axis() -> None:
    with injected(jnp.asarray(stream(1, 2))):
        first, _ = Twice((0, -1)).apply({}, jnp.ones((2, 4, 3)), False)
    expected = mask(stream(1, 2), 0, (1, 4, 1), 0.25) / np.float32(0.75)
    np.testing.assert_array_equal(first, np.broadcast_to(expected, (2, 4, 3)))


def test_a_dropout_of_linen_that_is_told_no_mode_is_an_error_of_its_own() -> None:
    with injected(jnp.asarray(stream(1, 2))), pytest.raises(ValueError, match="deterministic"):
        linen.Dropout(0.5).apply({}, ONES)
