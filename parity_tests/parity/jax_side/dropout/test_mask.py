"""A mask for all that is mapped over: of one of torch's, or of several."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from parity.arrays.draws import mask, stream
from parity.jax_side.dropout.keys import Keys
from parity.jax_side.dropout.mask import Mask, kept
from parity.jax_side.dropout.matching import Dropout
from parity.weight_map.outline import Shape

STREAM = stream(1, 2)
KEYS = jax.random.split(jax.random.key(0), 12)


def drawn(shape: Shape, number: int = 0) -> Any:
    return mask(STREAM, number, shape, 0.5)


def found(over: Shape, place: list[int], **of: Any) -> Any:
    made = Mask((4,), 0.5, Keys(), "a pass", over=over, **of)
    return made(STREAM, np.array(place), np.arange(2 * np.prod(over, dtype=int)).reshape(*over[::-1], 2))


def test_a_mask_is_that_of_its_number_and_of_all_that_is_mapped_over() -> None:
    np.testing.assert_array_equal(found((), [3]), drawn((4,), 3))
    np.testing.assert_array_equal(found((5, 6), [3]), drawn((6, 5, 4), 3))


def test_an_example_is_handed_its_part_of_the_mask_of_all() -> None:
    np.testing.assert_array_equal(found((), [3, 2], examples=(6,)), drawn((6, 4), 3)[2])
    np.testing.assert_array_equal(found((5,), [3, 2], examples=(6,)), drawn((6, 5, 4), 3)[2])


def test_an_expert_has_the_mask_of_its_number_whatever_is_mapped_over_around_it() -> None:
    each = np.stack([drawn((4,), 3), drawn((4,), 5), drawn((4,), 7)])
    np.testing.assert_array_equal(found((3,), [3], strides=(2,)), each)
    inside = np.stack([drawn((6, 4), 3), drawn((6, 4), 5), drawn((6, 4), 7)], axis=1)
    np.testing.assert_array_equal(found((3, 6), [3], strides=(2, 0)), inside)
    around = np.stack([drawn((6, 4), 3), drawn((6, 4), 5), drawn((6, 4), 7)])
    np.testing.assert_array_equal(found((6, 3), [3], strides=(0, 2)), around)


def test_inside_of_vmap_the_dropout_is_told_what_is_mapped_over() -> None:
    called = Dropout((4,), None)

    def one(key: Any) -> jax.Array:
        return kept(Mask((4,), 0.5, Keys(), "a pass"), called, jnp.asarray(STREAM), jnp.array([3]), key)

    np.testing.assert_array_equal(jax.vmap(jax.vmap(one))(KEYS.reshape(3, 4)), drawn((3, 4, 4), 3))
    assert called.over == (4, 3)
    np.testing.assert_array_equal(jax.vmap(one, axis_size=3, in_axes=None)(KEYS[0]), [drawn((4,), 3)] * 3)


@pytest.mark.parametrize("varying", ["place", "rate", "nothing"])
def test_another_rate_or_number_for_each_is_told_and_what_is_the_same_for_each_is_one(varying: str) -> None:
    keys, same = Keys(), jnp.zeros(3, int)

    def one(number: Any, more: Any, key: Any) -> jax.Array:
        made = Mask((4,), None, keys, "a pass")
        return kept(made, Dropout((4,), None), jnp.asarray(STREAM), number[None], key, 0.5 + more)

    each = {varying: jnp.arange(3)}
    found = jax.vmap(one)(each.get("place", same), each.get("rate", same) / 8, KEYS[:3])
    np.testing.assert_array_equal(found, drawn((3, 4)))
    assert keys.unlike is (varying != "nothing")
