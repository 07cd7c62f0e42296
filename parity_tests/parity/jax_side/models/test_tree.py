"""A pytree of parameters between two calls: what is trained, what is kept, and what stays as it was made."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch

from parity import Pair, random_batches
from parity.errors import NotCheckable
from parity.jax_side.models.tree import OfTree
from parity.recording import Arrays
from parity.sides.parts import Parts


class InTorch(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.fc = torch.nn.Linear(2, 3)
        self.register_buffer("order", torch.arange(3))


KEY = jax.random.key(0)


def made() -> dict[str, Any]:
    return {
        "fc": {"w": np.zeros((2, 3)), "b": jnp.zeros(3, jnp.bfloat16)},
        "order": jnp.zeros(3, int),
        "mask": np.array([True, False]),
        "activation": jnp.tanh,
        "none": None,
        "sizes": (2, 0.5, "three"),
        "key": KEY,
    }


def held_by(tree: Any, predict: Any = print) -> OfTree:
    side = {"loss": print, "optimizer": print}
    of_jax = side | {"model": made, "predict": predict}
    pair = Pair(torch=side | {"model": InTorch}, jax=of_jax, batches=random_batches(x=(4, 2), steps=1))
    return OfTree(Parts(pair.jax, "jax"), "float32", tree)


ARRAYS: Arrays = {
    "fc.weight": np.arange(6, dtype=np.float32).reshape(3, 2),
    "fc.bias": np.ones(3, np.float32),
    "order": np.array([2, 0, 1]),
}


def _structure(tree: Any) -> str:
    return str(jax.tree.structure(tree))


def test_floating_arrays_are_trained_and_others_are_kept() -> None:
    held = held_by(made()).held(ARRAYS)
    assert [leaf.shape for leaf in jax.tree.leaves(held.trained)] == [(3,), (2, 3)]
    assert {leaf.dtype for leaf in jax.tree.leaves(held.trained)} == {jnp.dtype("float32")}
    assert [leaf.tolist() for leaf in jax.tree.leaves(held.kept)] == [[True, False], [2, 0, 1]]


def test_arrays_come_back_as_they_went_in() -> None:
    models = held_by(made())
    held = models.held(ARRAYS)
    back = models.trained_arrays(held.trained) | models.kept_arrays(held.kept)
    assert back.keys() == ARRAYS.keys()
    for name, array in ARRAYS.items():
        np.testing.assert_array_equal(back[name], array)
    assert (models.unmatched, models.apart) == (frozenset({"fc"}), frozenset())


def test_the_bound_tree_has_everything_in_its_place() -> None:
    models = held_by(made())
    held = models.held(ARRAYS)
    tree = models.bound(held, training=True)
    assert _structure(tree) == _structure(made())
    np.testing.assert_array_equal(tree["fc"]["w"], ARRAYS["fc.weight"].T)
    assert (tree["activation"], tree["none"], tree["sizes"], tree["key"] is KEY) == (
        jnp.tanh,
        None,
        (2, 0.5, "three"),
        True,
    )
    assert (tree["order"].tolist(), tree["mask"].tolist()) == ([2, 0, 1], [True, False])
    after = models.kept_after(tree)
    assert _structure(after) == _structure(held.kept)
    assert models.kept_arrays(after)["order"].tolist() == [2, 0, 1]


def test_gradients_are_built_like_what_is_trained() -> None:
    models = held_by(made())
    held = models.held(ARRAYS)

    def loss(trained: Any) -> jax.Array:
        tree = models.bound(held._replace(trained=trained), training=True)
        found: jax.Array = jnp.sum(tree["activation"](tree["fc"]["b"]))
        return found

    found = models.trained_arrays(jax.jit(jax.grad(loss))(held.trained))
    np.testing.assert_allclose(found["fc.bias"], 1 - np.tanh(1) ** 2, rtol=1e-6)
    np.testing.assert_array_equal(found["fc.weight"], np.zeros((3, 2)))


def test_names_of_torch_may_be_the_keys_of_a_flat_dict() -> None:
    models = held_by({"fc.weight": np.zeros((3, 2)), "fc.bias": np.zeros(3), "order": np.arange(3)})
    tree = models.bound(models.held(ARRAYS), training=True)
    for name, array in ARRAYS.items():
        np.testing.assert_array_equal(tree[name], array)


def test_it_shows_an_output_by_a_part_of_its_own() -> None:
    with pytest.raises(NotCheckable, match=r"name the part `predict`, \(parameters, batch\) -> output"):
        held_by(made(), predict=None)
