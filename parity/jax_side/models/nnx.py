"""A JAX side's model that is a Flax NNX module."""

from __future__ import annotations

from contextlib import AbstractContextManager
from functools import cached_property
from typing import Any, Literal, NamedTuple

import jax
from flax import nnx

from parity.jax_side.layers import Layers, watch
from parity.jax_side.leaves import dotted, filled
from parity.jax_side.models.made import made_by
from parity.jax_side.models.mapped import Mapped
from parity.jax_side.models.moved import moved
from parity.jax_side.models.protocol import Held
from parity.jax_side.outline import outline_made_by
from parity.recording import Arrays
from parity.sides.blame import blame
from parity.weight_map.weight_map import WeightMap


class Split(NamedTuple):
    """What a module is made of: its graph, the parameters, the random streams and everything else that it keeps."""

    graph: Any
    trained: Any
    streams: Any
    kept: Any


class OfNnx(Mapped):
    """Any Flax NNX module, built once in outline and filled through the weight map."""

    @cached_property
    def _outlined(self) -> Split:
        """The module in outline."""
        with blame("jax", "model"):
            module = nnx.eval_shape(lambda: made_by(self._parts))
        _follow_parameters(module)
        return _split(module)

    @property
    def _trained(self) -> Any:
        return self._outlined.trained

    @cached_property
    def map(self) -> WeightMap:
        """Between torch's names and layout and this module's."""
        return self._parts.weight_map(outline_made_by(lambda: made_by(self._parts)))

    @cached_property
    def _kept(self) -> Any:
        """What is kept: in outline, or as it is made where torch does not say what is in it."""
        return self._as_made("kept") if self.map.apart.jax else self._outlined.kept

    @cached_property
    def _drawing(self) -> Any:
        """The random streams as they are made. Nothing draws by them: they tell whether two are equal."""
        streams = self._outlined.streams
        return self._as_made("streams") if jax.tree.leaves(streams) else streams

    def _as_made(self, state: Literal["streams", "kept"]) -> Any:
        """One of the module's states with the numbers that it is made with."""
        return jax.jit(lambda: getattr(_split(made_by(self._parts)), state))()

    def held(self, arrays: Arrays) -> Held:
        leaves = self.map.to_jax(arrays)
        # Made here, as within a pass that is traced it would be a part of that.
        _ = self._drawing
        return Held(filled(self._trained, leaves, self._dtype), filled(self._kept, leaves, self._dtype))

    def bound(self, held: Held, *, training: bool) -> Any:
        # Variables of their own: a call may only change those of the trace that it is in.
        states = jax.tree.map(lambda leaf: leaf, (held.trained, self._drawing, held.kept))
        model = nnx.merge(self._outlined.graph, *states)
        (model.train if training else model.eval)()
        return model

    def kept_after(self, model: Any) -> Any:
        return _split(model).kept

    def moved(self, model: Any, trained: Any) -> dict[str, jax.Array]:
        return moved(trained, _split(model).trained)

    def watched(
        self, model: Any, bits: int | None, probes: dict[str, jax.Array] | None,
        taught: dict[str, jax.Array] | None, *, layers: bool,
    ) -> AbstractContextManager[Layers]:  # fmt: skip
        named = {dotted(path): module for path, module in nnx.iter_modules(model)} if layers else {}
        places = {id(module): self._places[path] for path, module in named.items() if path in self._places}
        stacks = {id(named[path]) for path in (self.stacked.paths if self.stacked else ()) if path in named}
        return watch(model, places, bits, probes, taught, stacks=stacks)


def _follow_parameters(module: nnx.Module) -> None:
    """Let embeddings compute in the dtype of their parameter, as the other layers of NNX do where none is asked for.

    `nnx.Embed` alone takes down the dtype that it is made in, and would cast to float32 in the float64 run. In the
    dtype that it is made in the two are one program.
    """
    for _, layer in nnx.iter_modules(module):
        if isinstance(layer, nnx.Embed) and layer.dtype == layer.embedding.dtype:
            layer.dtype = None


def _split(module: nnx.Module) -> Split:
    graph, *states = nnx.split(module, nnx.Param, nnx.RngState, ...)
    return Split(graph, *states)
