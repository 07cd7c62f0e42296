"""The tensors that a model or a layer gives, in the one order in which both frameworks tell them."""

from __future__ import annotations

import copy
from collections import OrderedDict
from collections.abc import Callable, MutableMapping
from dataclasses import fields, is_dataclass, replace
from typing import Any

from torch import Tensor
from torch.utils._pytree import tree_leaves, tree_map

from parity.errors import NotCheckable


def leaves_of(output: Any) -> list[Any]:
    """The leaves of an output, what has names in the order of these: a dict, and a class of outputs as libraries have.

    PyTorch's own trees keep the order in which a dict was filled, and JAX's do not.
    """
    named = _fields(output) if _has_names(output) else output
    if isinstance(named, dict) and type(named) is not OrderedDict and all(isinstance(key, str) for key in named):
        return [leaf for key in sorted(named) for leaf in leaves_of(named[key])]
    if isinstance(output, list | tuple):
        return [leaf for entry in output for leaf in leaves_of(entry)]
    found: list[Any] = tree_leaves(output)
    return found


def mapped(change: Callable[[Any], Any], output: Any) -> Any:
    """An output built again, each of its leaves changed."""

    def built(node: Any) -> Any:
        if not _has_names(node):
            return change(node)
        found = {name: mapped(change, value) for name, value in _fields(node).items()}
        if is_dataclass(node) and not isinstance(node, type):
            return replace(node, **found)
        again = copy.copy(node)
        again.update(found)
        return again

    return tree_map(built, output, is_leaf=_has_names)


def _has_names(node: Any) -> bool:
    """Whether it is a dataclass, or a mapping of a class of its own: PyTorch's trees know neither of them.

    JAX, too, leaves an OrderedDict in its own order.
    """
    own = isinstance(node, MutableMapping) and type(node) not in (dict, OrderedDict)
    return own or (is_dataclass(node) and not isinstance(node, type))


def _fields(node: Any) -> dict[Any, Any]:
    if is_dataclass(node):
        return {field.name: getattr(node, field.name) for field in fields(node) if field.init}
    return dict(node)


def tensors_of(output: Any) -> dict[str, Tensor]:
    """The tensors of a model's output: `output`, and where there are more `output1` and so on."""
    found = [leaf for leaf in leaves_of(output) if isinstance(leaf, Tensor)]
    return {f"output{index or ''}": leaf for index, leaf in enumerate(found)}


def checked_output(part: str, found: Any) -> dict[str, Tensor]:
    """The tensors of an output by name.

    Raises:
        NotCheckable: there are none, or something beside them.
    """
    leaves = [leaf for leaf in leaves_of(found) if leaf is not None]
    if odd := [leaf for leaf in leaves if not isinstance(leaf, Tensor)]:
        instead = ": name the part `predict`, (model, batch) -> output" if part == "model" else ""
        raise NotCheckable(f"the torch side's {part} gave a {type(odd[0]).__name__}: expected a tensor{instead}")
    if not leaves:
        raise NotCheckable(f"the torch side's {part} gave no tensor: `predict` is (model, batch) -> output")
    return tensors_of(found)
