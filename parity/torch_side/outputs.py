"""The tensors that a model or a layer gives, in the one order in which both frameworks tell them."""

from __future__ import annotations

from typing import Any

from torch import Tensor
from torch.utils._pytree import tree_leaves


def leaves_of(output: Any) -> list[Any]:
    """The leaves of an output, those of a dict in the order of its keys.

    PyTorch's own trees keep the order in which a dict was filled, and JAX's do not.
    """
    if type(output) is dict and all(isinstance(key, str) for key in output):
        return [leaf for key in sorted(output) for leaf in leaves_of(output[key])]
    if isinstance(output, list | tuple):
        return [leaf for entry in output for leaf in leaves_of(entry)]
    found: list[Any] = tree_leaves(output)
    return found


def tensors_of(output: Any) -> dict[str, Tensor]:
    """The tensors of a model's output: `output`, and where there are more `output1` and so on."""
    found = [leaf for leaf in leaves_of(output) if isinstance(leaf, Tensor)]
    return {f"output{index or ''}": leaf for index, leaf in enumerate(found)}
