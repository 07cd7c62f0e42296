"""An outline as a tree of layers, with what is one layer in one framework and several in the other taken apart."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from math import prod
from typing import Any

from parity.weight_map.entry import Part
from parity.weight_map.kinds import ATTENTION, CELL, LINEAR, UNKNOWN, automatic_kind, family
from parity.weight_map.names import is_bias
from parity.weight_map.outline import Module, Outline

PARAMETRIZED = "parametrizations"
"""The module in a layer in which `torch.nn.utils.parametrize` keeps what it makes a weight of."""


@dataclass(frozen=True)
class Leaf:
    """One array of a layer, or a part of one, by its own name there.

    `still`: whether it is a buffer that torch has as a parameter.
    """

    own: str
    part: Part
    buffer: bool = False
    still: bool = False

    @property
    def is_bias(self) -> bool:
        """Whether its name says that it is a bias."""
        return is_bias(self.own, self.part.whole)


@dataclass(eq=False)
class Node:
    """A module, or a part of one that the other framework has as a module of its own (`path` is None then).

    `told`: whether the user has said what becomes of an array of its own, which is not among the `leaves` any more.
    """

    path: str | None
    name: str
    kind: str
    config: dict[str, Any] = field(default_factory=dict)
    leaves: list[Leaf] = field(default_factory=list)
    children: list[Node] = field(default_factory=list)
    family: str = UNKNOWN
    told: bool = False

    def all(self) -> Iterator[Node]:
        """The node itself and all below."""
        yield self
        for child in self.children:
            yield from child.all()

    def all_leaves(self) -> list[Leaf]:
        """The arrays of this node and of all below."""
        return [leaf for node in self.all() for leaf in node.leaves]

    def weights(self) -> int:
        """How many trained numbers it holds, without biases: Flax's recurrent cells have one where torch's have two."""
        return sum(prod(leaf.part.shape) for leaf in self.all_leaves() if not (leaf.buffer or leaf.is_bias))


def tree(outline: Outline, names: Mapping[str, str | None], other: Outline | None = None) -> Node:
    """The tree of a model's layers. `names` gives an array another full name, or leaves it out (None).

    A recurrent layer stays whole where the `other` model has a module with arrays of the same names and shapes.
    """
    whole = [module.parameters for module in other.modules] if other else []
    nodes = {_path(module.name): _node(module, names) for module in outline.modules}
    for path in [_path(module.name) for module in outline.modules]:
        if path:
            _at(nodes, path.rpartition(".")[0]).children.append(nodes[path])
    for path, node in list(nodes.items()):
        _into_scopes(nodes, path, node)
    for module in outline.modules:
        _take_apart(nodes[_path(module.name)], outline.framework, whole=module.parameters in whole)
    return nodes[""]


def _path(name: str) -> str:
    """A name with a dot before each of its parts: a slash in it ends a scope, as in Haiku's `encoder/~/linear`."""
    return name.replace("/", ".")


def _at(nodes: dict[str, Node], path: str) -> Node:
    """The node of this path. One that no module stands for is a scope, and made where it is first met."""
    if path not in nodes:
        around, _, name = path.rpartition(".")
        kind = automatic_kind(name)
        nodes[path] = Node(None, name, kind, family=family(kind, {}))
        _at(nodes, around).children.append(nodes[path])
    return nodes[path]


def _into_scopes(nodes: dict[str, Node], path: str, node: Node) -> None:
    """Take the arrays whose own names have scopes, as in a flat dict with a key `linear/w`, to the nodes of these."""
    for leaf in [leaf for leaf in node.leaves if "/" in leaf.own]:
        scope, _, own = _path(leaf.own).rpartition(".")
        node.leaves.remove(leaf)
        layer, _, tensor = scope.rpartition(".")
        if path and layer and (beside := nodes.get(f"{path.rpartition('.')[0]}.{layer}".removeprefix("."))):
            # Linen's norms of weights stand beside the layer, and call what they keep after its arrays.
            beside.leaves.append(replace(leaf, own=f"{tensor}_g" if own == "scale" else own))
        else:
            _at(nodes, f"{path}.{scope}".removeprefix(".")).leaves.append(replace(leaf, own=own))


def _node(module: Module, names: Mapping[str, str | None]) -> Node:
    name = _path(module.name).rpartition(".")[2]
    kind = module.kind or automatic_kind(name)
    leaves = []
    for own, shape in (module.parameters | module.buffers).items():
        full = module.full(own)
        if (called := names.get(full, full)) is not None:
            leaves.append(Leaf(own, Part(called, shape), own in module.buffers, own in module.still))
    return Node(module.name, name, kind, module.config, leaves, [], family(kind, module.config))


def _take_apart(node: Node, framework: str, *, whole: bool) -> None:
    own = {leaf.own for leaf in node.leaves}
    if own & {"in_proj_weight", "q_proj_weight"}:
        _attention(node)
    elif node.family == CELL and framework == "torch" and own and not whole:
        _recurrent(node)
    for child in node.children:
        if child.name == PARAMETRIZED:
            _parametrized(node, child)


def _parametrized(layer: Node, around: Node) -> None:
    """torch.nn.utils.parametrizations: what a weight is made of becomes the layer's own, as elsewhere it is."""
    for tensor in around.children:
        for inside in tensor.all():
            one = [leaf.own for leaf in inside.leaves] == ["original"]
            layer.leaves += [replace(leaf, own=tensor.name if one else leaf.own) for leaf in inside.leaves]
            inside.leaves = []


def _attention(node: Node) -> None:
    """torch.nn.MultiheadAttention: its packed or separate projections become children."""
    own = {leaf.own: leaf for leaf in node.leaves}
    bias = own.pop("in_proj_bias", None)
    inner = []
    if packed := own.pop("in_proj_weight", None):
        leaves = [replace(packed, own="weight"), *([replace(bias, own="bias")] if bias else [])]
        inner.append(Node(None, "in_proj", "Linear", {}, leaves, [], LINEAR))
    for index, letter in enumerate("qkv"):
        if separate := own.pop(f"{letter}_proj_weight", None):
            slices = [replace(bias, own="bias", part=bias.part.slice(0, index, 3))] if bias else []
            leaves = [replace(separate, own="weight"), *slices]
            inner.append(Node(None, f"{letter}_proj", "Linear", {}, leaves, [], LINEAR))
    for child in node.children:
        # torch computes it without calling the module, which is thus no layer that anybody sees.
        child.path = None
    node.leaves = [leaf for leaf in node.leaves if leaf.own in own]
    node.children = inner + node.children
    node.family = ATTENTION


def _recurrent(node: Node) -> None:
    """torch.nn.LSTM, GRU and RNN: each layer and direction becomes a cell, the only one the module itself."""
    groups: dict[str, list[Leaf]] = {}
    for leaf in node.leaves:
        stem, suffix = re.fullmatch(r"(\w+?_(?:ih|hh|hr))(?:_(\w+))?", leaf.own).groups("")  # type: ignore[union-attr]
        groups.setdefault(suffix, []).append(replace(leaf, own=stem))
    if len(groups) == 1:
        (node.leaves,) = groups.values()
        return
    # A layer in both directions by the names that Flax has for them.
    names = {"l0": "forward_rnn", "l0_reverse": "backward_rnn"}
    called = names if groups.keys() == names.keys() else {}
    node.children = [
        Node(None, called.get(name, name), node.kind, node.config, leaves, [], CELL) for name, leaves in groups.items()
    ]
    node.leaves, node.family = [], UNKNOWN
