"""A JAX side's model that is a Flax Linen module."""

from __future__ import annotations

from contextlib import AbstractContextManager
from functools import cached_property
from typing import Any

import jax
import jax.numpy as jnp
from flax import core, linen

from parity.arrays.draws import STREAM
from parity.arrays.tree import nested
from parity.jax_side.layers import Layers, watch_linen
from parity.jax_side.leaves import filled, leaves_of
from parity.jax_side.models.mapped import Mapped
from parity.jax_side.models.protocol import Held
from parity.jax_side.outline import PARAMETERS, outline_of_collections
from parity.jax_side.passing import asked
from parity.recording import Arrays, Dtype
from parity.sides.blame import blame
from parity.sides.parts import Parts
from parity.weight_map.weight_map import WeightMap


class OfLinen(Mapped):
    """Any Flax Linen module. What it holds is told by a first call of the side's own code, in outline.

    The side's code gets the module bound to its variables, so that it calls it as it would an NNX module. All
    collections but the parameters are kept, and may be changed by the call.
    """

    def __init__(self, parts: Parts, dtype: Dtype, module: linen.Module) -> None:
        super().__init__(parts, dtype)
        self._module = module

    def _drawn(self) -> dict[str, Any]:
        """The variables as the module draws them where it is called with the first batch."""
        side = self._parts.side
        batch = {name: array for name, array in self._parts.batches_of(0, 1)[0].items() if name != STREAM}

        def called(module: linen.Module) -> Any:
            given = nested({name: jnp.asarray(array) for name, array in batch.items()})
            return asked(self._parts.calling, module, given, training=side.tie.training)

        variables = linen.init(called, self._module)(_streams())
        return core.unfreeze(core.meta.unbox(variables))

    @cached_property
    def _made(self) -> tuple[dict[str, Any], dict[str, linen.Module]]:
        """The variables in outline, and the modules that were called, by their paths.

        In 32 bits whatever the run: with 64 of them an initializer that is asked for no dtype draws float64, and the
        layers of Flax float32 beside it, which a scan over blocks does not carry on.
        """
        modules: dict[str, linen.Module] = {}

        def noted(function: Any, given: Any, named: Any, context: linen.module.InterceptorContext) -> Any:
            modules.setdefault(".".join(context.module.path), context.module)
            return function(*given, **named)

        called = blame("jax", "model, called with the first batch,")
        with called, jax.enable_x64(False), linen.intercept_methods(noted):
            shapes: dict[str, Any] = jax.eval_shape(self._drawn)
        return {PARAMETERS: {}} | shapes, modules

    @property
    def _shapes(self) -> dict[str, Any]:
        return self._made[0]

    @property
    def _trained(self) -> Any:
        return self._shapes[PARAMETERS]

    @cached_property
    def map(self) -> WeightMap:
        """Between torch's names and layout and this module's."""
        return self._parts.weight_map(outline_of_collections(*self._made))

    @cached_property
    def _kept(self) -> dict[str, Any]:
        """The collections that are no parameters: in outline, or as drawn where torch does not say what is in them."""
        drawn = jax.jit(lambda: _others(self._drawn()))() if self.map.apart.jax else _others(self._shapes)
        return dict(drawn)

    def held(self, arrays: Arrays) -> Held:
        leaves = self.map.to_jax(arrays)
        return Held(filled(self._shapes[PARAMETERS], leaves, self._dtype), self._refilled(self._kept, leaves))

    def _refilled(self, kept: dict[str, Any], leaves: Arrays) -> dict[str, Any]:
        return {name: filled(inner, leaves, self._dtype) for name, inner in kept.items()}

    def kept_arrays(self, kept: Any) -> Arrays:
        return self._canonical({name: array for inner in kept.values() for name, array in leaves_of(inner).items()})

    def bound(self, held: Held, *, training: bool) -> Any:
        # Nothing that is compared may draw from the stream; what does is told.
        # Of its own, as where it is trained: a scan may split one stream and not another.
        dropping = {getattr(module, "rng_collection", "dropout") for module in self._made[1].values()}
        streams = _streams() | {name: jax.random.key(1) for name in dropping}
        return self._module.bind({PARAMETERS: held.trained} | held.kept, rngs=streams, mutable=[*held.kept])

    def kept_after(self, model: Any) -> Any:
        return _others(core.unfreeze(model.variables))

    def watched(
        self, model: Any, bits: int | None, probes: dict[str, jax.Array] | None,
        taught: dict[str, jax.Array] | None, *, layers: bool,
    ) -> AbstractContextManager[Layers]:  # fmt: skip
        stacks = self.stacked.paths if layers and self.stacked else ()
        return watch_linen(self._places if layers else {}, bits, probes, taught, stacks=stacks)


def _streams() -> dict[str, jax.Array]:
    """The one stream that every other falls back to."""
    return {PARAMETERS: jax.random.key(0)}


def _others(variables: dict[str, Any]) -> dict[str, Any]:
    return {name: inner for name, inner in variables.items() if name != PARAMETERS}
