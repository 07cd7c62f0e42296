"""Two trees of layers side by side, from the root down: pairs of arrays, pairs of layers, and what was left or open."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from parity.weight_map import cells, divided, own
from parity.weight_map.entry import Entry, Part
from parity.weight_map.kinds import CONV, LINEAR, UNKNOWN
from parity.weight_map.layouts import Layouts, Steps
from parity.weight_map.levels import Item, Level, Opened, closest, items, match, opened
from parity.weight_map.names import QUERY, key
from parity.weight_map.own import Owned
from parity.weight_map.tree import Node
from parity.weight_map.unfit import Undecided, Unfit

Sides = tuple[list[Item], list[Item]]
NUMBER = re.compile(r"(?<=[._])\d+(?![^.])")
"""The place in a list, in a name: `layers.0.w` and `layers_0.w`."""


@dataclass
class Alignment:
    """What two trees have in common.

    Attributes:
        layouts: how an array becomes another.
        ordered: whether JAX's modules come in order of definition.
        leaf_of: the leaf that holds a JAX array and those of other layers; all that it holds are laid out alike.
        entries: pairs of arrays.
        layers: pairs of layers.
        torch: torch arrays without a counterpart, of layers that have one.
        jax: such leaves.
        lost_torch: torch arrays of layers without a counterpart.
        lost_jax: such leaves.
        undecided: what only the user can tell.
        assumed: what was paired only so that an error names little else; no map may come of it.
        listed: what the user should know.
        by_order: pairs of layers that nothing but their order tells, in words.
    """

    layouts: Layouts
    ordered: bool
    leaf_of: Mapping[str, str] = field(default_factory=dict)
    entries: list[Entry] = field(default_factory=list)
    layers: list[tuple[Node, Node]] = field(default_factory=list)
    torch: list[Owned] = field(default_factory=list)
    jax: list[Owned] = field(default_factory=list)
    lost_torch: list[Owned] = field(default_factory=list)
    lost_jax: list[Owned] = field(default_factory=list)
    undecided: list[str] = field(default_factory=list)
    assumed: list[str] = field(default_factory=list)
    listed: list[str] = field(default_factory=list)
    by_order: list[str] = field(default_factory=list)
    _settled: dict[Part, Steps | None] = field(default_factory=dict)

    def align(self, torch: Node, jax: Node) -> None:
        """Pair what is in these two layers and below."""
        self.layers.append((torch, jax))
        if cells.is_pair(torch, jax):
            self._cells(torch, jax)
            return
        children, leaves = self._modules_as_leaves(items(torch), own.of(jax))
        taken = {id(item.node) for item in items(torch)} - {id(item.node) for item in children}
        pairs, left_torch, left_jax = own.side_by_side(self.layouts, own.of(torch), leaves)
        for pair in pairs:
            self.add(*pair)
        nested = [item for item in items(torch, nested=True) if id(item.node) not in taken]
        self._children((children, items(jax)), (nested, items(jax, nested=True)), (left_torch, left_jax))

    def add(self, torch: Owned, jax: Owned) -> None:
        """One pair of arrays; what only the user can tell about it is kept with the rest that is undecided."""
        part = jax.leaf.part
        alike = part._replace(name=NUMBER.sub("", self.leaf_of.get(part.name, part.name)))
        try:
            steps: Steps | None = self.layouts.steps(*torch, *jax)
        except Undecided as open_:
            # Asked once of what is laid out alike: of all layers of a stack, and of a list.
            self.undecided += [] if alike in self._settled else [str(open_)]
            steps = self._settled.get(alike)
        except Unfit:
            self.torch.append(torch)
            self.jax.append(jax)
            return
        self._settled[alike] = steps
        if steps is not None:
            self.entries.append(Entry(torch.leaf.part, steps, part, torch.leaf.buffer))

    def finish(self) -> None:
        """Pair what is left of all layers, where nothing else that is left fits: a parameter may have moved house."""
        loose = [owned for owned in self.torch if owned.node.family == UNKNOWN]
        pairs, left_torch, self.jax = own.side_by_side(self.layouts, loose, self.jax)
        self.torch = [owned for owned in self.torch if owned not in loose or owned in left_torch]
        for pair in pairs:
            self.add(*pair)

    def _modules_as_leaves(self, torch: list[Item], jax: list[Owned]) -> tuple[list[Item], list[Owned]]:
        """What is left of the two once modules of a single array are paired with the leaf that has their name."""
        for leaf in jax:
            named = [item for item in torch if item.key == key(leaf.leaf.own)]
            arrays = [owned for item in named for node in item.node.all() for owned in own.of(node)]
            alone = [other for other in jax if key(other.leaf.own) == key(leaf.leaf.own)] == [leaf]
            if alone and len(named) == len(arrays) == 1 and own.fits(self.layouts, arrays[0], leaf):
                self.add(arrays[0], leaf)
                torch = [item for item in torch if item is not named[0]]
                jax = [other for other in jax if other is not leaf]
        return torch, jax

    def _cells(self, torch: Node, jax: Node) -> None:
        try:
            for leaf, of, jax_leaf, jax_of in list(cells.parts(torch, jax)):
                self.add(Owned(leaf, of), Owned(jax_leaf, jax_of))
        except (Undecided, Unfit) as error:
            self.undecided.append(str(error))

    def _children(self, flat: Sides, nested: Sides, left: tuple[list[Owned], list[Owned]]) -> None:
        """Pair what is in two layers: entry by entry or, where that leaves something open, with lists kept whole.

        `left` are the arrays of the two that are without a counterpart so far.
        """
        level, loose, loose_jax = self._level(*flat, nested=False)
        if not level.settled():
            whole = self._level(*nested, nested=True)
            if whole[0].settled() or whole[0].left() < level.left():
                level, loose, loose_jax = whole
        if (loose or loose_jax or not level.resolved()) and (found := self._divided(*flat, *left)):
            level, loose, loose_jax, left = found, [], [], ([], [])
        self.torch += left[0] + [owned for node in loose for owned in own.of(node)]
        self.jax += left[1] + [owned for node in loose_jax for owned in own.of(node)]
        for pair in level.pairs:
            self._note_packed(*pair)
            self.align(*pair)
        self.by_order += [f"{_called(torch)} and {_called(jax)}" for torch, jax in level.by_order]
        self.undecided += [_which(*groups) for groups in level.open]
        self.assumed += [_which(*groups) for groups in level.assumed]
        by_key = {item.key: item for item in level.jax if item.key.stem}
        for item in level.torch:
            # Of one name, but unlike: what does not fit is told array by array.
            other = by_key.pop(item.key, None)
            if other is not None:
                level.jax.remove(other)
                self.align(item.node, other.node)
            else:
                self.lost_torch += own.below(item.node)
        self.lost_jax += [owned for item in level.jax for owned in own.below(item.node)]

    def _divided(
        self, torch: list[Item], jax: list[Item], left_torch: list[Owned], left_jax: list[Owned]
    ) -> Level | None:
        """The level with what is left on it paired array by array; None where that does not come out."""
        level = match(torch, jax, self._alike, self.ordered)
        closest(level, self._alike)
        if level.assumed:
            # Nothing is taken for granted that arrays may settle.
            level = match(torch, jax, self._alike, self.ordered)
        pairs = divided.paired(
            self.layouts, divided.called(left_torch, level.torch), divided.called(left_jax, level.jax)
        )
        for pair in pairs:
            self.add(*pair)
        level.torch, level.jax = [], []
        return level if pairs else None

    def _level(self, torch: list[Item], jax: list[Item], *, nested: bool) -> tuple[Level, list[Node], list[Node]]:
        """The level as it stands or, where it does not come out, with what is left on it opened up.

        Beside it the modules whose arrays came loose.
        """
        level = match(torch, jax, self._alike, self.ordered)
        loose: list[Node] = []
        loose_jax: list[Node] = []
        seen = [(level, loose, loose_jax)]
        while not level.resolved() and (found := self._opened(level, nested=nested)):
            level, loose, loose_jax = found[0], loose + found[1], loose_jax + found[2]
            seen.append((level, loose, loose_jax))
        if not level.resolved():
            # An error follows: where the most is paired, it names only what is wrong.
            for one, _, _ in seen:
                closest(one, self._alike)
            return min(seen, key=lambda one: one[0].left())
        return level, loose, loose_jax

    def _opened(self, level: Level, *, nested: bool) -> tuple[Level, list[Node], list[Node]] | None:
        """The level with one side of it opened up, or both; and the modules whose arrays came loose."""
        torch, jax = opened(level.torch, nested=nested), opened(level.jax, nested=nested)
        tries = [(torch, Opened(level.jax, [])), (Opened(level.torch, []), jax), (torch, jax)]
        matches = [match(one.items, other.items, self._alike, self.ordered) for one, other in tries]
        best = next((index for index, found in enumerate(matches) if found.resolved()), None)
        if best is None:
            # The side that is less far open goes first.
            fewer, can = len(level.torch) - len(level.jax), (torch.items != level.torch, jax.items != level.jax)
            best = 0 if fewer < 0 and can[0] else 1 if fewer > 0 and can[1] else 2
            if not any(can):
                return None
        found, (one, other) = matches[best], tries[best]
        found.pairs, found.by_order = level.pairs + found.pairs, level.by_order + found.by_order
        return found, one.loose, other.loose

    def _alike(self, torch: Node, jax: Node) -> bool:
        """Whether two layers, or subtrees of them, can be each other's counterpart."""
        if cells.is_pair(torch, jax):
            return True
        if items(torch) or items(jax):
            return torch.weights() == jax.weights()
        families = {torch.family, jax.family}
        # A convolution with a window of one is a linear layer, and the shapes tell.
        if len(families - {UNKNOWN}) > 1 and families != {LINEAR, CONV}:
            return False
        _, left_torch, left_jax = own.side_by_side(self.layouts, own.of(torch), own.of(jax))
        return not any(not owned.leaf.buffer for owned in (*left_torch, *left_jax))

    def _note_packed(self, *pair: Node) -> None:
        """Say that the order in a packed projection was assumed, where it is not torch's own layer that has it."""
        for node in pair:
            part = node.leaves[0].part if node.leaves else None
            if part and part.axis is not None and node.name == QUERY and not part.name.endswith("in_proj_weight"):
                self.listed.append(f"{part.name} is taken to hold query, key and value, one after another")


def _which(torch: list[Item], jax: list[Item]) -> str:
    names, others = ([_called(item.node) for item in side] for side in (torch, jax))
    if torch[0].node.path is None or jax[0].node.path is None:
        # An override may name an array where one of the two is no module of its model.
        example = _first_array(torch[0].node), _first_array(jax[0].node)
    else:
        example = names[0], others[0]
    return (
        f"{', '.join(names)} and {', '.join(others)} are alike, and neither names nor order say which is which: "
        f'write an override for each, as in "{example[0]}": "{example[1]}"'
    )


def _called(node: Node) -> str:
    return node.path or _first_array(node)


def _first_array(node: Node) -> str:
    return node.all_leaves()[0].part.name
