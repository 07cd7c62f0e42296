"""The arrays that a model or a layer gives, in the one order in which both frameworks tell them."""

from __future__ import annotations

from dataclasses import is_dataclass
from itertools import accumulate
from typing import Any

import jax
import jax.numpy as jnp


def order_of(output: Any) -> list[int]:
    """The leaves of an output by their numbers in JAX's own order: those of a dataclass in the order of its names.

    So have those of a dict theirs.
    """
    children, _ = jax.tree_util.tree_flatten_with_path(output, is_leaf=lambda node: node is not output)
    sizes = [len(jax.tree.leaves(child)) for _, child in children]
    begun = zip(children, [0, *accumulate(sizes)], strict=False)
    placed = [(path, child, begin) for (path, child), begin in begun]
    if is_dataclass(output) and all(isinstance(path[0], jax.tree_util.GetAttrKey) for path, *_ in placed):
        placed.sort(key=lambda child: str(child[0][0]))
    # What has no path is a leaf itself.
    return [begin + number for path, child, begin in placed for number in (order_of(child) if path else [0])]


def leaves_of(output: Any) -> list[Any]:
    """The leaves of an output in that order."""
    leaves = jax.tree.leaves(output)
    return [leaves[number] for number in order_of(output)]


def arrays_of(output: Any) -> dict[str, jax.Array]:
    """The arrays of a model's output: `output`, and where there are more `output1` and so on."""
    return {f"output{index or ''}": jnp.asarray(leaf) for index, leaf in enumerate(leaves_of(output))}
