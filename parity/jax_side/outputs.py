"""The arrays that a model or a layer gives, in the one order in which both frameworks tell them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import is_dataclass
from typing import Any

import jax
import jax.numpy as jnp


def leaves_of(output: Any) -> list[Any]:
    """The leaves of an output, those of a dataclass in the order of its names, as those of a dict are."""
    return list(_leaves(output))


def _leaves(output: Any) -> Iterator[Any]:
    children, _ = jax.tree_util.tree_flatten_with_path(output, is_leaf=lambda node: node is not output)
    if is_dataclass(output) and all(isinstance(path[0], jax.tree_util.GetAttrKey) for path, _ in children):
        children.sort(key=lambda child: str(child[0][0]))
    for path, child in children:
        if path:
            yield from _leaves(child)
        else:
            yield child


def order_of(output: Any, leaves: Sequence[Any]) -> list[int]:
    """The numbers that its `leaves` have in JAX's own order, in this one."""
    numbers: dict[int, list[int]] = {}
    for number, leaf in enumerate(leaves):
        numbers.setdefault(id(leaf), []).append(number)
    return [numbers[id(leaf)].pop(0) for leaf in leaves_of(output)]


def arrays_of(output: Any) -> dict[str, jax.Array]:
    """The arrays of a model's output: `output`, and where there are more `output1` and so on."""
    return {f"output{index or ''}": jnp.asarray(leaf) for index, leaf in enumerate(leaves_of(output))}
