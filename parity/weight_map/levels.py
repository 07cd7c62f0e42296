"""One level of two trees: which layers stand side by side there, by name, by order, or because nothing else fits."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from parity.weight_map.kinds import IN_OUT, UNKNOWN
from parity.weight_map.names import KEY, PACKED, QUERY, VALUE, Key, key
from parity.weight_map.tree import Leaf, Node

Alike = Callable[[Node, Node], bool]
Groups = list[tuple[list["Item"], list["Item"]]]


@dataclass(eq=False)
class Item:
    """A layer, or a subtree of them, by its name. `listed`: by its place in a list, whose numbers may have gaps."""

    key: Key
    node: Node
    listed: bool = False


@dataclass
class Level:
    """What was paired, what was left, between what the choice is open, and what was paired all the same.

    `by_order` are those of the pairs that nothing but their order tells.
    """

    pairs: list[tuple[Node, Node]] = field(default_factory=list)
    torch: list[Item] = field(default_factory=list)
    jax: list[Item] = field(default_factory=list)
    open: list[tuple[list[Item], list[Item]]] = field(default_factory=list)
    assumed: list[tuple[list[Item], list[Item]]] = field(default_factory=list)
    by_order: list[tuple[Node, Node]] = field(default_factory=list)

    def resolved(self) -> bool:
        """Whether every item has its counterpart, or will be one of a few that are alike and `open`."""
        return not (self.torch or self.jax)

    def settled(self) -> bool:
        """Whether every item has its counterpart, and none is left to the user."""
        return self.resolved() and not self.open

    def left(self) -> int:
        """How many trained numbers are without a counterpart."""
        return sum(item.node.weights() for item in (*self.torch, *self.jax))


def items(node: Node, *, nested: bool = False) -> list[Item]:
    """The children of a node that hold arrays; a list's entries in its place, and for a wrapper what it wraps.

    Of a list in a list the entries stand in its place, too, unless they are to stay `nested`: what a list is of may be
    layers in groups, or blocks of which each is a list of its layers.
    """
    found: list[Item] = []
    for child in _in_number_order(node.children):
        inner = unwrapped(child)
        if not inner.all_leaves():
            continue
        held = items(inner, nested=nested)
        stem = key(child.name).stem
        if not inner.leaves and all(item.key.stem == "" for item in held) and (stem or not nested):
            # Counted anew: a list of lists has each number more than once.
            found += [Item(Key(stem, index), item.node, True) for index, item in enumerate(held)]
        else:
            found.append(Item(key(child.name), inner, key(child.name).stem == ""))
    return found


def _in_number_order(children: list[Node]) -> list[Node]:
    """The entries of a list by their numbers, and other children as they come."""
    numbers = {id(child): key(child.name) for child in children}
    is_list = all(found.stem == "" for found in numbers.values())
    return sorted(children, key=lambda child: numbers[id(child)].number or 0) if is_list else children


def unwrapped(node: Node) -> Node:
    """The only layer in a module that holds nothing else; a list of one stays a list."""
    while not node.leaves and len(holding := [child for child in node.children if child.all_leaves()]) == 1:
        if key(holding[0].name).stem == "":
            break
        node = holding[0]
    return node


class Opened(NamedTuple):
    """The items of a level, and the modules whose own arrays came loose when it was opened."""

    items: list[Item]
    loose: list[Node]


def opened(level: list[Item], *, nested: bool = False) -> Opened:
    """The items with each subtree replaced by its layers, one level down; lists in lists as in `items`.

    Where there is no subtree, modules of the user's own are opened: their arrays may stand elsewhere on the other side.
    """
    inner = [(item, items(item.node, nested=nested)) for item in level]
    if any(parts for _, parts in inner):
        kept = [part for item, parts in inner for part in (parts or [item])]
        return Opened(kept, [item.node for item, parts in inner if parts and item.node.leaves])
    loose = [item.node for item in level if item.node.family == UNKNOWN and item.node.kind]
    return Opened([item for item in level if item.node not in loose], loose)


def match(torch: list[Item], jax: list[Item], alike: Alike, ordered: bool) -> Level:
    """Pair what stands side by side. `ordered`: whether the JAX items come in order of definition."""
    torch, jax = _unpacked(torch, jax)
    level = Level()
    level.pairs = _by_name(torch, jax, alike)
    paired = {id(node) for pair in level.pairs for node in pair}
    level.torch = [item for item in torch if id(item.node) not in paired]
    level.jax = [item for item in jax if id(item.node) not in paired]
    if level.resolved():
        return level
    in_order = list(zip(level.torch, level.jax, strict=False))
    complete = len(level.torch) == len(level.jax) and all(alike(t.node, j.node) for t, j in in_order)
    contradicted = complete and _contradicted(in_order, alike)
    if ordered and complete and not contradicted:
        pairs = [(t.node, j.node) for t, j in in_order]
        level.pairs += pairs
        level.by_order = [pair for pair in pairs if sum(alike(pair[0], other.node) for _, other in in_order) > 1]
        level.torch, level.jax = [], []
        return level
    groups = _components(level.torch, level.jax, alike)
    grouped = sum(len(group) + len(other) for group, other in groups)
    if grouped == len(level.torch) + len(level.jax) and all(len(group) == len(other) for group, other in groups):
        # In a plain tree the order says nothing that a name could contradict.
        _only_ones(level, groups, by_number=not contradicted, by_name=not (ordered and contradicted))
    return level


def closest(level: Level, alike: Alike) -> None:
    """Pair as much as can be of a level that does not come out."""
    for group, other in _components(level.torch, level.jax, alike):
        if len(group) > 1 or len(other) > 1:
            level.assumed.append((group, other))
        level.pairs += [(t.node, j.node) for t, j in zip(group, other, strict=False)]
    paired = {id(node) for pair in level.pairs for node in pair}
    level.torch = [item for item in level.torch if id(item.node) not in paired]
    level.jax = [item for item in level.jax if id(item.node) not in paired]


def _unpacked(torch: list[Item], jax: list[Item]) -> tuple[list[Item], list[Item]]:
    """Query, key and value taken apart where they are packed on one side only."""
    parts = {QUERY, KEY, VALUE}
    stems = [{item.key.stem for item in side} for side in (torch, jax)]
    if PACKED in stems[0] and parts <= stems[1]:
        return [part for item in torch for part in _apart(item, torch=True)], jax
    if PACKED in stems[1] and parts <= stems[0]:
        return torch, [part for item in jax for part in _apart(item, torch=False)]
    return torch, jax


def _apart(item: Item, *, torch: bool) -> list[Item]:
    if item.key.stem != PACKED:
        return [item]
    node, parts = item.node, []
    for index, name in enumerate((QUERY, KEY, VALUE)):
        leaves = [_third(leaf, node, index, torch=torch) for leaf in node.leaves]
        parts.append(Item(Key(name, None), replace(node, path=None, name=name, leaves=leaves)))
    return parts


def _third(leaf: Leaf, node: Node, index: int, *, torch: bool) -> Leaf:
    """One of the three, of a bias or along the outputs of a weight."""
    outputs_first = node.kind != IN_OUT if torch else leaf.own.startswith("weight")
    biases = [len(b.part.whole) for b in node.leaves if b.is_bias and b is not leaf]
    axes = len(leaf.part.whole)
    axis = 0 if outputs_first or leaf.is_bias else axes - (biases[0] if biases else 1)
    size, is_matrix = leaf.part.whole[axis], outputs_first or axis == axes - 1
    return replace(leaf, part=leaf.part.slice(axis, index, 3)) if size == 3 or (is_matrix and size % 3 == 0) else leaf


def _by_name(torch: list[Item], jax: list[Item], alike: Alike) -> list[tuple[Node, Node]]:
    by_stem = [_grouped(side) for side in (torch, jax)]
    pairs = []
    for stem in [stem for stem in by_stem[0] if stem in by_stem[1]]:
        of_torch, of_jax = by_stem[0][stem], by_stem[1][stem]
        numbers = [[item.key.number for item in side] for side in (of_torch, of_jax)]
        shared = {*numbers[0]} & {*numbers[1]}
        if any(max(Counter(side).values()) > 1 for side in numbers):
            side_by_side = [pair for number in shared for pair in _by_path(number, of_torch, of_jax)]
        elif numbers[0] != numbers[1] and len(of_torch) == len(of_jax) and _ranked(of_torch) and _ranked(of_jax):
            side_by_side = list(zip(of_torch, of_jax, strict=True))
        elif shared in ({*numbers[0]}, {*numbers[1]}):
            found = {item.key.number: item for item in of_jax}
            side_by_side = [(item, found[item.key.number]) for item in of_torch if item.key.number in shared]
        else:
            continue
        pairs += [(t.node, j.node) for t, j in side_by_side if alike(t.node, j.node)]
    return pairs


def _by_path(number: int | None, torch: list[Item], jax: list[Item]) -> list[tuple[Item, Item]]:
    """Items of one name from several modules that were opened up, if they stand in the same places on both sides."""
    places = [{item.node.path: item for item in side if item.key.number == number} for side in (torch, jax)]
    of_torch, of_jax = places
    return [] if None in of_torch or of_torch.keys() != of_jax.keys() else [(of_torch[p], of_jax[p]) for p in of_torch]


def _grouped(level: list[Item]) -> dict[str, list[Item]]:
    groups = defaultdict(list)
    for item in level:
        groups[item.key.stem].append(item)
    return {stem: sorted(group, key=lambda item: item.key.number or 0) for stem, group in groups.items()}


def _ranked(group: list[Item]) -> bool:
    """Whether the numbers only count: from 0 or 1 without a gap, or as places in a list."""
    numbers = [item.key.number for item in group]
    return all(item.listed for item in group) or numbers in (list(range(len(group))), list(range(1, len(group) + 1)))


def _contradicted(in_order: list[tuple[Item, Item]], alike: Alike) -> bool:
    """Whether a name says otherwise than the order: its like stands elsewhere on the other side, and fits."""
    return any(
        _akin(t, other) and alike(t.node, other.node) for t, j in in_order if not _akin(t, j) for _, other in in_order
    )


def _akin(torch: Item, jax: Item) -> bool:
    """Whether one name begins with the other, as `up` and `up_proj`, and they have one number or none."""
    one, other = sorted((torch.key.stem, jax.key.stem), key=len)
    return len(one) > 1 and other.startswith(one) and torch.key.number == jax.key.number


def _only_ones(level: Level, groups: Groups, *, by_number: bool, by_name: bool) -> None:
    """Pair items that are like each other and like nothing else, several by their numbers or by names that are akin."""
    for group_torch, group_jax in groups:
        if len(group_torch) == 1 or (by_number and _numbered(group_jax)):
            sides = [sorted(side, key=_number) if _numbered(side) else side for side in (group_torch, group_jax)]
            level.pairs += [(t.node, j.node) for t, j in zip(*sides, strict=True)]
        elif by_name and (akin := _all_akin(group_torch, group_jax)):
            level.pairs += akin
        else:
            level.open.append((group_torch, group_jax))
    level.torch, level.jax = [], []


def _all_akin(torch: list[Item], jax: list[Item]) -> list[tuple[Node, Node]]:
    """Pairs of names of which one begins with the other, as `gate` and `gate_proj`; none unless all have one like."""
    found = [[other for other in jax if _akin(item, other)] for item in torch]
    if any(len(others) != 1 for others in found) or len({id(other) for (other,) in found}) != len(jax):
        return []
    return [(item.node, other.node) for item, (other,) in zip(torch, found, strict=True)]


def _number(item: Item) -> int:
    return -1 if item.key.number is None else item.key.number


def _numbered(group: list[Item]) -> bool:
    """Whether the items have one name with a number each."""
    numbers = {_number(item) for item in group}
    return len({item.key.stem for item in group}) == 1 and len(numbers) == len(group) and -1 not in numbers


def _components(torch: list[Item], jax: list[Item], alike: Alike) -> Groups:
    """Items that are like one another: those like the same JAX items belong together."""
    found: dict[frozenset[int], list[Item]] = defaultdict(list)
    for item in torch:
        found[frozenset(i for i, other in enumerate(jax) if alike(item.node, other.node))].append(item)
    sets = list(found)
    apart = [s for s in sets if s and not any(s & other for other in sets if other != s)]
    return [(found[s], [jax[i] for i in sorted(s)]) for s in apart]
