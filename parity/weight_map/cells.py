"""A recurrent cell of torch's beside one of Flax's: gates packed or apart, one bias or two."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace

from parity.weight_map.kinds import CELL, LINEAR, framework_class
from parity.weight_map.names import plain
from parity.weight_map.tree import Leaf, Node
from parity.weight_map.unfit import Undecided, Unfit

_SOURCES = {"input": {"dense_i", "i", "ih", "i2h", "x2h"}, "hidden": {"dense_h", "h", "hh", "h2h"}}
_GATE = re.compile(r"([ih])([ifgorzn])_?")
GATES = {"LSTM": "ifgo", "GRU": "rzn", "RNN": " "}
"""The order in which torch packs the gates, and Flax too. Source: the documentation of torch.nn.LSTM and GRU."""
_TORCH = {"input": "ih", "hidden": "hh"}


def _place(name: str) -> tuple[str, str] | None:
    """Of a cell's child: whether it takes the input or the hidden state, and its gate (a blank: all of them)."""
    for source, names in _SOURCES.items():
        if name in names:
            return source, " "
    found = _GATE.fullmatch(name)
    return ("input" if found[1] == "i" else "hidden", found[2]) if found else None


def _products(node: Node) -> dict[tuple[str, str], Node] | None:
    """The products of a JAX cell by what they take and their gate; None where the module is no such cell."""
    found = {}
    for child in node.children:
        if child.all_leaves():
            place = _place(child.name)
            if place is None or place in found or not child.leaves:
                return None
            found[place] = child
    gates = {source: {gate for of, gate in found if of == source} for source in _SOURCES}
    return found if found and gates["input"] == gates["hidden"] else None


def is_pair(torch: Node, jax: Node) -> bool:
    """Whether a torch cell stands beside a JAX module that is built like a cell of Flax's."""
    return torch.family == CELL and bool(torch.leaves) and _products(jax) is not None


def parts(torch: Node, jax: Node) -> Iterator[tuple[Leaf, Node, Leaf, Node]]:
    """Which part of which torch array is which leaf, each with its layer.

    Raises:
        Unfit: the gates are other ones, or an array has no counterpart.
        Undecided: torch has two biases where JAX has one.
    """
    products = _products(jax) or {}
    order = GATES[_class(torch)]
    gates = sorted({gate for _, gate in products}, key=order.find)
    if gates not in ([" "], list(order)):
        raise Unfit(f"{torch.path}: a {torch.kind} has the gates {order}, and {jax.path} has {''.join(gates)}")
    own = {leaf.own: leaf for leaf in torch.leaves}
    biases = _biases(torch, jax, own, products)
    for (source, gate), product in products.items():
        index = gates.index(gate)
        for leaf in product.leaves:
            bias = plain(leaf.own) == "bias"
            whole = biases[source] if bias else own[f"weight_{_TORCH[source]}"]
            if whole is None:
                raise Undecided(
                    f"no torch tensor for {leaf.part}: {_called(torch)} has no such bias; make it with bias=True, and "
                    "fix the bias that JAX lacks at zero"
                )
            part = whole.part if len(gates) == 1 else whole.part.slice(0, index, len(gates))
            # What it is a part of is a linear layer of torch's.
            named = replace(whole, own="bias" if bias else "weight", part=part)
            yield named, replace(torch, kind="Linear", family=LINEAR), leaf, product


def _called(node: Node) -> str:
    return node.path or f"the {node.kind}"


def _biases(
    torch: Node, jax: Node, own: dict[str, Leaf], products: dict[tuple[str, str], Node]
) -> dict[str, Leaf | None]:
    """The torch bias for the products of the input and for those of the hidden state."""
    given: dict[str, Leaf | None] = {source: own.get(f"bias_{short}") for source, short in _TORCH.items()}
    biased = {place for place, node in products.items() if any(plain(leaf.own) == "bias" for leaf in node.leaves)}
    sources, jax_sources = {source for source in given if given[source]}, {source for source, _ in biased}
    whole = biased == {place for place in products if place[0] in jax_sources}
    if len(sources) == len(jax_sources) == 1 and whole and _class(torch) != "GRU":
        # The two are only ever added: it is the same where the one that there is stands.
        return {jax_sources.pop(): given[sources.pop()]}
    if sources and not (whole and sources == jax_sources):
        hidden = given["hidden"]
        name = hidden.part.name if hidden else f"{torch.path}.bias_hh"
        raise Undecided(
            f"{_called(torch)} has biases for {' and '.join(sorted(sources))} and {_called(jax)} for "
            f"{' and '.join(sorted(jax_sources)) or 'neither'}{'' if whole else ', in part'}: no one-to-one map; give "
            "the JAX cell the same biases, or fix the one that it lacks at zero in torch and leave it out, with the "
            f'override "{name}": "left out"'
        )
    return given


def _class(torch: Node) -> str:
    return framework_class(torch.kind, torch.config).removesuffix("Cell")
