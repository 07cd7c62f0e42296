"""Where a pass in float64 has numbers in fewer bits: computed so, or constants such as a table of angles."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.utils._pytree import tree_leaves

from parity.torch_side.layers import Layers
from parity.torch_side.operations import Operations


class Lowering(Operations):  # type: ignore[no-untyped-call]
    """While it is open: before which recorded places of a pass an operation gives numbers in fewer bits."""

    def __init__(self, layers: Layers) -> None:
        super().__init__()
        self._layers = layers
        self._seen: dict[tuple[int, bool], None] = {}

    def __torch_dispatch__(
        self, func: Any, types: Sequence[type], args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        found = func(*args, **(kwargs or {}))
        if any(isinstance(leaf, Tensor) and _low(leaf.dtype) for leaf in tree_leaves(found)):
            self._seen[len(self._layers.forward), self._layers.outputs is None] = None
        return found

    @property
    def places(self) -> list[str]:
        """The places by what is recorded there, then the model's output and the loss."""
        names = list(self._layers.forward)
        behind = {True: "output", False: "loss"}
        return [names[index] if index < len(names) else behind[before] for index, before in self._seen]


def _low(dtype: torch.dtype) -> bool:
    return dtype.is_floating_point and dtype.itemsize < torch.float64.itemsize
