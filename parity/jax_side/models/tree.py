"""A JAX side's model that is a pytree of parameters, which plain functions take."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from functools import cached_property
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from parity.errors import NotCheckable
from parity.jax_side.layers import Layers
from parity.jax_side.leaves import filled, is_floating
from parity.jax_side.models.mapped import Mapped
from parity.jax_side.models.protocol import Held
from parity.jax_side.outline import PARAMETERS, outline_of_collections
from parity.jax_side.place import Place
from parity.recording import Arrays, Dtype
from parity.sides.parts import Parts
from parity.weight_map.weight_map import WeightMap


class OfTree(Mapped):
    """Any pytree with arrays among its leaves: dicts, lists, tuples, modules of Equinox, parameters of Haiku.

    Floating arrays are trained, other arrays are kept, and what is no array stays as the side made it. Nobody calls a
    tree, so that its layers cannot be seen.

    Raises:
        NotCheckable: the side names no `predict`.
    """

    def __init__(self, parts: Parts, dtype: Dtype, made: Any) -> None:
        if parts.side.predict is None:
            raise NotCheckable(
                "the jax side's model is a pytree of parameters, whose loss shows no output: name the part `predict`, "
                "(parameters, batch) -> output"
            )
        super().__init__(parts, dtype)
        self._leaves, self._structure = _flat(made)

    @cached_property
    def _template(self) -> Held:
        """The tree as it was made: once with the trained leaves only, and once with the kept ones."""
        trained = [leaf if _is_array(leaf) and is_floating(leaf) else None for leaf in self._leaves]
        kept = [leaf if _is_array(leaf) and not is_floating(leaf) else None for leaf in self._leaves]
        return Held(self._structure.unflatten(trained), self._structure.unflatten(kept))

    @property
    def _trained(self) -> Any:
        return self._template.trained

    @cached_property
    def _places(self) -> dict[str, Place]:
        """None: functions of a tree are no layers."""
        return {}

    @cached_property
    def map(self) -> WeightMap:
        """Between torch's names and layout and this tree's."""
        trained, kept = self._template
        return self._parts.weight_map(outline_of_collections({PARAMETERS: trained, "kept": kept}))

    def held(self, arrays: Arrays) -> Held:
        leaves = self.map.to_jax(arrays)
        trained, kept = (filled(tree, leaves, self._dtype) for tree in self._template)
        return Held(trained, kept)

    def bound(self, held: Held, *, training: bool) -> Any:
        rows = zip(_flat(held.trained)[0], _flat(held.kept)[0], self._leaves, strict=True)
        return self._structure.unflatten(next((leaf for leaf in row if leaf is not None), None) for row in rows)

    def kept_after(self, model: Any) -> Any:
        kept = [
            leaf if own is not None else None
            for leaf, own in zip(_flat(model)[0], _flat(self._template.kept)[0], strict=True)
        ]
        return self._structure.unflatten(kept)

    def watched(
        self, model: Any, bits: int | None, probes: dict[str, jax.Array] | None,
        taught: dict[str, jax.Array] | None, *, layers: bool,
    ) -> AbstractContextManager[Layers]:  # fmt: skip
        return nullcontext(Layers(bits, probes, taught))


def _is_array(leaf: Any) -> bool:
    """Whether a leaf is an array of numbers or of true and false."""
    return isinstance(leaf, jax.Array | np.ndarray) and bool(
        jnp.issubdtype(leaf.dtype, jnp.number) or jnp.issubdtype(leaf.dtype, jnp.bool_)
    )


def _flat(tree: Any) -> tuple[list[Any], Any]:
    """Leaves and structure, where None is a leaf too: it stands where there is one in another tree."""
    leaves, structure = jax.tree.flatten(tree, is_leaf=lambda node: node is None)
    return leaves, structure
