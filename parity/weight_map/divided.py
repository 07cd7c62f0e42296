"""The arrays of two layers that are divided otherwise: one holds itself what the other has layers inside for.

Such as an adapter: its base is a layer inside or its own kernel and bias, and its two matrices are arrays of its own,
layers of one array each, or together in a layer.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from parity.weight_map.layouts import Layouts
from parity.weight_map.levels import Item
from parity.weight_map.names import plain, role
from parity.weight_map.own import Owned, below, fits

Called = list[tuple[tuple[str, ...], Owned]]
"""Arrays, and what each may be called, the surest first."""


def called(own: Sequence[Owned], inside: Sequence[Item]) -> Called:
    """Arrays of a layer and of those inside: with the name of the layer, as `lora.a`, or as that where it is alone."""
    found = [(_names(owned, plain(owned.leaf.own)), owned) for owned in own]
    for item in inside:
        arrays = below(item.node)
        layer = f"{item.key.stem}{'' if item.key.number is None else item.key.number}"
        found += [(_names(o, layer if len(arrays) == 1 else layer + plain(o.leaf.own)), o) for o in arrays]
    return found


def _names(owned: Owned, full: str) -> tuple[str, ...]:
    return full, role(owned.leaf.own)


def paired(layouts: Layouts, torch: Called, jax: Called) -> list[tuple[Owned, Owned]]:
    """Pairs of one name, first by the surest; none at all where an array is left."""
    found: list[tuple[Owned, Owned]] = []
    for names in ((0, 0), (0, 1), (1, 0), (1, 1)):
        pairs, torch, jax = _of_one_name(layouts, torch, jax, names)
        found += pairs
    return [] if torch or jax else found


def _of_one_name(
    layouts: Layouts, torch: Called, jax: Called, which: tuple[int, int]
) -> tuple[list[tuple[Owned, Owned]], Called, Called]:
    """Pairs of a name, `which` of those on each side, that each side has once, and what is left of each."""
    sides = [[(names[index], owned) for names, owned in side] for index, side in zip(which, (torch, jax), strict=True)]
    counts = [Counter(name for name, _ in side) for side in sides]
    others = {name: owned for name, owned in sides[1] if counts[0][name] == counts[1][name] == 1}
    pairs = [(o, others[name]) for name, o in sides[0] if name in others and fits(layouts, o, others[name])]
    taken = {id(owned.leaf) for pair in pairs for owned in pair}
    left = [[one for one in side if id(one[1].leaf) not in taken] for side in (torch, jax)]
    return pairs, left[0], left[1]
