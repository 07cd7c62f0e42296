"""The leaves of an output, by the order of the names in it where JAX goes by that of the fields."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import pytest
from flax import struct

from parity.jax_side.outputs import arrays_of, leaves_of, order_of


@jax.tree_util.register_dataclass
@dataclass
class Registered:
    second: Any
    first: Any


class OfFlax(struct.PyTreeNode):  # type: ignore[no-untyped-call]
    second: Any
    first: Any
    said: str = struct.field(pytree_node=False, default="")  # type: ignore[no-untyped-call]


class InOrder(NamedTuple):
    second: Any
    first: Any


@pytest.mark.parametrize("kind", [Registered, OfFlax, dict])
def test_names_are_in_their_order(kind: Any) -> None:
    assert leaves_of(kind(second=2, first=1)) == [1, 2]
    inner = kind(second=kind(second=4, first=3), first=[1, None, (2,)])
    assert leaves_of({"b": 5, "a": inner}) == [1, 2, 3, 4, 5]
    assert [int(array) for array in arrays_of(inner).values()] == [1, 2, 3, 4]


@pytest.mark.parametrize("kind", [InOrder, OrderedDict])
def test_what_has_an_order_of_its_own_keeps_it(kind: Any) -> None:
    assert leaves_of(kind(second=2, first=1)) == [2, 1]


def test_one_array_has_one_leaf_and_nothing_has_none() -> None:
    assert leaves_of(3) == [3]
    assert leaves_of(None) == []


@jax.tree_util.register_pytree_node_class
class MadeAnew:
    """Makes its leaves each time that somebody asks for them."""

    def tree_flatten(self) -> tuple[list[list[int]], None]:
        return [[1000], [2000]], None

    @classmethod
    def tree_unflatten(cls, _: None, __: Any) -> MadeAnew:
        return cls()


def test_the_numbers_are_those_of_jaxs_own_order() -> None:
    output = (Registered(second=7, first=MadeAnew()), None, 7)
    leaves = jax.tree.leaves(output)
    assert leaves == [7, 1000, 2000, 7]
    assert order_of(output) == [1, 2, 0, 3]
    assert leaves_of(output) == [1000, 2000, 7, 7]
