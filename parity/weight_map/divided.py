"""The arrays of two layers that are divided otherwise: one holds itself what the other has layers inside for.

Such as an adapter: its base is a layer inside or its own kernel and bias, and its two matrices are arrays of its own,
layers of one array each, or together in a layer.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from parity.weight_map.layouts import Layouts
from parity.weight_map.levels import Item
from parity.weight_map.names import role
from parity.weight_map.own import Owned, fits, of

Called = list[tuple[str, Owned]]
"""Arrays, and what each is called."""


def called(own: Sequence[Owned], inside: Sequence[Item]) -> Called:
    """Arrays of a layer and of those inside: one that is alone in its layer, as `lora_A.weight`, is called as that."""
    found = [(role(owned.leaf.own), owned) for owned in own]
    for item in inside:
        arrays = [owned for node in item.node.all() for owned in of(node)]
        name = f"{item.key.stem}{'' if item.key.number is None else item.key.number}"
        found += [(name if len(arrays) == 1 else role(owned.leaf.own), owned) for owned in arrays]
    return found


def paired(layouts: Layouts, torch: Called, jax: Called) -> list[tuple[Owned, Owned]]:
    """Pairs of one name, then those of one role; none at all where an array is left."""
    pairs, *left = _of_one_name(layouts, torch, jax)
    more, *left = _of_one_name(layouts, *([(role(owned.leaf.own), owned) for _, owned in side] for side in left))
    return [] if any(left) else pairs + more


def _of_one_name(layouts: Layouts, torch: Called, jax: Called) -> tuple[list[tuple[Owned, Owned]], Called, Called]:
    """Pairs of a name that each side has once, and what is left of each."""
    counts = [Counter(name for name, _ in side) for side in (torch, jax)]
    others = {name: owned for name, owned in jax if counts[0][name] == counts[1][name] == 1}
    pairs = [(o, others[name]) for name, o in torch if name in others and fits(layouts, o, others[name])]
    taken = {id(owned.leaf) for pair in pairs for owned in pair}
    left = [[one for one in side if id(one[1].leaf) not in taken] for side in (torch, jax)]
    return pairs, left[0], left[1]
