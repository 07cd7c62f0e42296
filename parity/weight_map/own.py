"""The arrays of two layers that stand side by side: which is which, by role or by the only shape that fits."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from math import prod
from typing import NamedTuple

from parity.errors import NotCheckable
from parity.weight_map.layouts import Layouts
from parity.weight_map.names import role
from parity.weight_map.tree import Leaf, Node
from parity.weight_map.unfit import Undecided, Unfit


class Owned(NamedTuple):
    """An array and the layer that owns it."""

    leaf: Leaf
    node: Node


def of(node: Node) -> list[Owned]:
    """The arrays of a layer."""
    return [Owned(leaf, node) for leaf in node.leaves]


def below(node: Node) -> list[Owned]:
    """The arrays of a layer and of all layers in it."""
    return [owned for one in node.all() for owned in of(one)]


def fits(layouts: Layouts, torch: Owned, jax: Owned) -> bool:
    """Whether the one can become the other, in one way or several."""
    if torch.leaf.buffer != jax.leaf.buffer:
        return False
    try:
        layouts.steps(*torch, *jax)
    except Undecided:
        return True
    except Unfit:
        return False
    except NotCheckable:
        # What the user has told of it is wrong, which is said where the two are paired.
        return prod(torch.leaf.part.shape) == prod(jax.leaf.part.shape)
    return True


def side_by_side(
    layouts: Layouts, torch: Sequence[Owned], jax: Sequence[Owned]
) -> tuple[list[tuple[Owned, Owned]], list[Owned], list[Owned]]:
    """Pairs of one role, then pairs where nothing else of the two layers fits; and what is left of each."""
    roles = [defaultdict[str, list[Owned]](list), defaultdict[str, list[Owned]](list)]
    for found, side in zip(roles, (torch, jax), strict=True):
        for owned in side:
            found[role(owned.leaf.own)].append(owned)
    pairs = []
    for name in roles[0]:
        if len(roles[0][name]) == len(roles[1].get(name, [])) == 1:
            pair = roles[0][name][0], roles[1][name][0]
            pairs += [pair] if fits(layouts, *pair) else []
    left_torch, left_jax = _left(torch, pairs, 0), _left(jax, pairs, 1)
    fit = [(i, k) for i, t in enumerate(left_torch) for k, j in enumerate(left_jax) if fits(layouts, t, j)]
    of_torch, of_jax = Counter(i for i, _ in fit), Counter(k for _, k in fit)
    pairs += [(left_torch[i], left_jax[k]) for i, k in fit if of_torch[i] == of_jax[k] == 1]
    return pairs, _left(torch, pairs, 0), _left(jax, pairs, 1)


def _left(side: Sequence[Owned], pairs: list[tuple[Owned, Owned]], index: int) -> list[Owned]:
    taken = {id(pair[index].leaf) for pair in pairs}
    return [owned for owned in side if id(owned.leaf) not in taken]
