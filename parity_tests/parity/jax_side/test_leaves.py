"""Leaves by their paths, and trees filled with others."""

from __future__ import annotations

from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from parity.errors import NotCheckable
from parity.jax_side.leaves import filled, leaves_of, named_leaves


@jax.tree_util.register_dataclass
@dataclass
class Attention:
    """Fields whose names are those that a wrapper has too."""

    key: jax.Array
    value: jax.Array


def test_a_leaf_is_called_by_its_way() -> None:
    tree = {"b": [jnp.ones(1), (jnp.ones(2),)], "a": Attention(jnp.ones(3), jnp.ones(4))}
    assert [(name, leaf.size) for name, leaf in named_leaves(tree)] == [
        ("a.key", 3), ("a.value", 4), ("b.0", 1), ("b.1.0", 2),
    ]  # fmt: skip


def test_what_nnx_wraps_an_array_in_has_no_part_in_its_name() -> None:
    state = nnx.state(nnx.Linear(2, 3, rngs=nnx.Rngs(0)))
    assert {name: array.shape for name, array in leaves_of(state).items()} == {"bias": (3,), "kernel": (2, 3)}


def test_floating_leaves_take_the_dtype_and_others_keep_theirs() -> None:
    tree = {"w": jax.ShapeDtypeStruct((2,), jnp.bfloat16), "n": jnp.arange(2)}  # type: ignore[no-untyped-call]
    made = filled(tree, {"w": np.array([0.1, 2]), "n": np.array([3, 4])}, "float32")
    assert (made["w"].dtype, made["n"].dtype, made["n"].tolist()) == (jnp.float32, jnp.int32, [3, 4])
    np.testing.assert_array_equal(made["w"], np.array([0.1, 2], np.float32))


def test_a_complex_leaf_is_refused_unless_it_stays_as_it_is() -> None:
    tree = {"rotary": {"turns": jnp.ones(2, jnp.complex64)}}
    assert filled(tree, {}, "float32")["rotary"]["turns"].dtype == jnp.complex64
    with pytest.raises(NotCheckable, match=r"the jax side's rotary\.turns is complex: models are compared in real"):
        filled(tree, {"rotary.turns": np.ones(2)}, "float32")


def test_a_leaf_that_nobody_gives_stays_and_must_be_there() -> None:
    assert filled({"n": jnp.arange(2)}, {}, "float32")["n"].tolist() == [0, 1]
    with pytest.raises(NotCheckable, match=r"the jax side keeps cache\.n, which the torch side has not"):
        filled({"cache": {"n": jax.ShapeDtypeStruct((2,), jnp.int32)}}, {}, "float32")  # type: ignore[no-untyped-call]
