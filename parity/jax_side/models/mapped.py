"""What all kinds of model have in common that are filled and read through a weight map."""

from __future__ import annotations

from abc import ABC, abstractmethod
from functools import cached_property
from typing import Any

import jax

from parity.jax_side.leaves import filled, leaves_of
from parity.jax_side.models.places import apart, places_of, unmatched
from parity.jax_side.models.protocol import Held
from parity.jax_side.place import Place
from parity.jax_side.stacks.stacked import Stacked
from parity.recording import Arrays, Dtype
from parity.sides.parts import Parts
from parity.weight_map.weight_map import WeightMap, held_alone


class Mapped(ABC):
    """A kind of model of which the engine knows the leaves by their paths, and so which torch tensor each is."""

    def __init__(self, parts: Parts, dtype: Dtype) -> None:
        self._parts, self._dtype = parts, dtype
        self._alone: Arrays = {}
        self._last: Arrays = {}
        self._changed: set[str] = set()

    @property
    @abstractmethod
    def map(self) -> WeightMap:
        """Between torch's names and layout and the model's."""

    @property
    @abstractmethod
    def _trained(self) -> Any:
        """What is differentiated by, in outline."""

    @cached_property
    def _places(self) -> dict[str, Place]:
        """The layers that can be watched, by their paths."""
        return places_of(self.map)

    @cached_property
    def stacked(self) -> Stacked | None:
        """The layers that stand several in one module."""
        return Stacked(self.map, self._places) if any(entry.jax.at for entry in self.map.entries) else None

    @property
    def unmatched(self) -> frozenset[str]:
        return unmatched(self._parts.torch_outline, self._places)

    @property
    def apart(self) -> frozenset[str]:
        return apart(self.map)

    def trained_arrays(self, trained: Any) -> Arrays:
        return self.map.to_torch(leaves_of(trained))

    @property
    def remarks(self) -> list[str]:
        """What the weight map tells, but for what only torch holds, and what of this side's alone has changed."""
        alone = self.map.apart.jax
        said = {held_alone("torch", name) for name in self.map.apart.torch} | {held_alone("jax", n) for n in alone}
        still = [name for name in alone if name not in self._changed]
        moved = [name for name in alone if name in self._changed]
        lines = [f"held on the jax side only: {', '.join(still)}"] if still else []
        lines += [f"held on the jax side only, and changed during the run: {', '.join(moved)}"] if moved else []
        return [line for line in self.map.listed if line not in said] + lines

    def moved(self, model: Any, trained: Any) -> dict[str, jax.Array]:
        """None: what a loss does to its copy of a tree is gone with it."""
        return {}

    def kept_arrays(self, kept: Any) -> Arrays:
        return self._canonical(leaves_of(kept))

    def _canonical(self, found: Arrays) -> Arrays:
        """The buffers among these leaves; of what this side holds alone it is noted whether it changes."""
        for name in self.map.apart.jax:
            first, self._last[name] = self._alone.setdefault(name, found[name]), found[name]
            if first.tobytes() != found[name].tobytes():
                self._changed.add(name)
        return self.map.to_torch(found) if found else {}

    @property
    def changed(self) -> list[str]:
        return sorted(self._changed)

    def ended(self, held: Held) -> Held | None:
        last = {name: self._last[name] for name in self._changed}
        return Held(held.trained, self._refilled(held.kept, last)) if last else None

    def _refilled(self, kept: Any, leaves: Arrays) -> Any:
        """What is kept, with some of its leaves others."""
        return filled(kept, leaves, self._dtype)

    def trained_from(self, arrays: Arrays) -> Any:
        return filled(self._trained, self.map.to_jax(arrays), self._dtype)
