"""The tensors that a model or a layer gives, in the one order in which both frameworks tell them."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from typing import Any

from torch import Tensor
from torch.utils._pytree import tree_leaves

from parity.errors import NotCheckable


def leaves_of(output: Any) -> list[Any]:
    """The leaves of an output, what has names in the order of these: a dict, and a class of outputs as libraries have.

    PyTorch's own trees keep the order in which a dict was filled, and JAX's do not.
    """
    if is_dataclass(output) and not isinstance(output, type):
        output = {field.name: getattr(output, field.name) for field in fields(output)}
    # JAX, too, leaves an OrderedDict in its own order.
    if isinstance(output, Mapping) and type(output) is not OrderedDict and all(isinstance(key, str) for key in output):
        return [leaf for key in sorted(output) for leaf in leaves_of(output[key])]
    if isinstance(output, list | tuple):
        return [leaf for entry in output for leaf in leaves_of(entry)]
    found: list[Any] = tree_leaves(output)
    return found


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
