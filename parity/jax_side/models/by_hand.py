"""A JAX side's model that the side's own parts build and read."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Any

import jax
from flax import nnx

from parity.jax_side.layers import Layers, watch
from parity.jax_side.leaves import dotted, to_numpy
from parity.jax_side.models.protocol import Held
from parity.jax_side.place import Place
from parity.recording import Arrays, Device, Dtype
from parity.sides.parts import Parts


class ByHand:
    """A model that the side's own parts build and read. It has no buffers, and its layers are named as torch's are."""

    map: None = None
    stacked: None = None
    unmatched: frozenset[str] = frozenset()
    apart: frozenset[str] = frozenset()

    def __init__(self, parts: Parts, dtype: Dtype, device: Device) -> None:
        self._parts, self._dtype, self._device = parts, dtype, device
        self.remarks: list[str] = []
        self.changed: list[str] = []

    def held(self, arrays: Arrays) -> Held:
        return Held(self.trained_from(arrays), ())

    def trained_arrays(self, trained: Any) -> Arrays:
        found: Arrays = self._parts.arrays(trained)
        return {name: to_numpy(array) for name, array in found.items()}

    def kept_arrays(self, kept: Any) -> Arrays:
        return {}

    def trained_from(self, arrays: Arrays) -> Any:
        return self._parts.model_of(arrays, self._dtype, self._device)

    def bound(self, held: Held, *, training: bool) -> Any:
        return held.trained

    def kept_after(self, model: Any) -> Any:
        return ()

    def ended(self, held: Held) -> None:
        return None

    def moved(self, model: Any, trained: Any) -> dict[str, jax.Array]:
        return {}

    def watched(
        self, model: Any, bits: int | None, probes: dict[str, jax.Array] | None,
        taught: dict[str, jax.Array] | None, *, layers: bool,
    ) -> AbstractContextManager[Layers]:  # fmt: skip
        return watch(model, own_places(model) if layers else {}, bits, probes, taught)


def own_places(model: Any) -> dict[int, Place]:
    """Every submodule that owns parameters itself, under its own name and in its own layout."""
    if not isinstance(model, nnx.Module):
        return {}
    return {
        id(module): Place(dotted(path) or "model", channels=False)
        for path, module in nnx.iter_modules(model)
        if any(isinstance(value, nnx.Param) for value in vars(module).values())
    }
