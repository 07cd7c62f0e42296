"""The overrides that a refusal offers, all of them at once: which array may stand for which."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from math import prod

from parity.errors import NotCheckable
from parity.weight_map.layouts import Layouts
from parity.weight_map.own import Owned
from parity.weight_map.unfit import Undecided, Unfit

MOST = 4
"""So many leaves are offered for one array: among more, none is found by looking at a line."""
ALIKE = 16
"""Of no more arrays of one size is it asked which may stand for which, as that takes time."""

_Ways = dict[Owned, list[str]]


def offered(layouts: Layouts, torch: Sequence[Owned], jax: Sequence[Owned]) -> list[str]:
    """An override for each array of torch's that is left and that a leaf may stand for, or one of a few; in one line.

    Where one leaf alone may stand for an array, and for no other, it stands for nothing else. Leaves of which any may
    are parted by a sign that no override has: nobody is to paste a guess.
    """
    left = defaultdict[tuple[bool, int], list[Owned]](list)
    for owned in jax:
        if owned.leaf.part.axis is None:
            left[_size(owned)].append(owned)
    arrays = [of for of in torch if of.leaf.part.axis is None and len(left[_size(of)]) <= ALIKE]
    all_ways = {of: _ways(layouts, of, left[_size(of)]) for of in arrays}
    may = _settled(all_ways)
    lines = [
        f'"{of.leaf.part.name}": "{" | ".join(word for leaf in may[of] for word in all_ways[of][leaf])}"'
        for of in arrays if 0 < len(may[of]) <= MOST
    ]  # fmt: skip
    if any(" | " in line for line in lines):
        return [
            f"if one stands for the other, write the overrides {', '.join(lines)}, of what a | parts the one that is it"
        ]
    return [f"if one stands for the other, write the override {', '.join(lines)}"] if lines else []


def _size(owned: Owned) -> tuple[bool, int]:
    return owned.leaf.buffer, prod(owned.leaf.part.shape)


def _settled(ways: Mapping[Owned, _Ways]) -> dict[Owned, list[Owned]]:
    """For each array the leaves that may stand for it, less those that can only stand for another."""
    may = {of: [*leaves] for of, leaves in ways.items()}
    while True:
        only = {of: leaves[0] for of, leaves in may.items() if len(leaves) == 1}
        once = [leaf for leaf in only.values() if [*only.values()].count(leaf) == 1]
        fewer = {of: [leaf for leaf in leaves if leaf not in once or of in only] for of, leaves in may.items()}
        if fewer == may:
            return may
        may = fewer


def _ways(layouts: Layouts, torch: Owned, left: Sequence[Owned]) -> _Ways:
    """The leaves that may stand for an array, each with the lines to write."""
    found = {}
    for jax in left:
        name = jax.leaf.part.name
        try:
            layouts.steps(*torch, *jax)
        except Undecided as open_:
            found[jax] = [f"{name}: {word}" for word in open_.words]
        except (Unfit, NotCheckable):
            continue
        else:
            found[jax] = [name]
    return found
