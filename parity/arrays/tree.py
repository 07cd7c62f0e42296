"""Nested dicts, lists and tuples of arrays as one flat dict, and back.

A name is the way to an array: `inputs/ids`, `pair/#0`. The engine works on flat batches, a side's own code sees nested
ones.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any


def leaves(tree: Any, at: str = "") -> Iterator[tuple[str, Any]]:
    """Every leaf by its name, in order. None is nothing, and so is an empty container.

    Raises:
        ValueError: a key is no string, or would read as part of a way.
    """
    if isinstance(tree, dict):
        for key, value in tree.items():
            if not isinstance(key, str) or not key or "/" in key or key.startswith("#"):
                raise ValueError(f"an entry is called {key!r}: expected a name without / and without # in front")
            yield from leaves(value, f"{at}/{key}" if at else key)
    elif isinstance(tree, list | tuple):
        for index, value in enumerate(tree):
            yield from leaves(value, f"{at}/#{index}" if at else f"#{index}")
    elif tree is not None:
        yield at, tree


def nested(flat: dict[str, Any]) -> dict[str, Any]:
    """The dict that `leaves` took apart; tuples come back as lists."""
    tree: dict[str, Any] = {}
    for name, leaf in flat.items():
        *way, last = name.split("/")
        node = tree
        for part in way:
            node = node.setdefault(part, {})
        node[last] = leaf
    return {key: _listed(value) for key, value in tree.items()}


def _listed(node: Any) -> Any:
    if not isinstance(node, dict):
        return node
    if node and all(key.startswith("#") for key in node):
        return [_listed(node[key]) for key in sorted(node, key=lambda key: int(key[1:]))]
    return {key: _listed(value) for key, value in node.items()}
