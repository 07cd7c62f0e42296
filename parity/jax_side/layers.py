"""What goes in and out of every layer of an `nnx.Module`, and zero probes that let its inputs be differentiated by."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from parity.jax_side.models import Place


def rounded(array: jax.Array, bits: int | None) -> jax.Array:
    """`array` to `bits` mantissa bits (None: as it is); the gradient passes as if nothing had been rounded."""
    if bits is None or not jnp.issubdtype(array.dtype, jnp.floating):
        return array
    exponent = jnp.finfo(array.dtype).nexp  # type: ignore[no-untyped-call]
    change = jax.lax.reduce_precision(array, exponent_bits=exponent, mantissa_bits=bits) - array
    return array + jax.lax.stop_gradient(change)


class Layers:
    """Arrays of one traced pass, in torch's layout: `forward` has inputs and outputs in the order of the calls.

    `outputs` are the model's own, as its last call gave them.
    """

    def __init__(self, bits: int | None, probes: dict[str, jax.Array] | None) -> None:
        self.forward: dict[str, jax.Array] = {}
        self.inputs: list[str] = []
        self.outputs: Any = None
        self._bits = bits
        self._probes = probes
        self._calls: Counter[str] = Counter()
        self._inside: set[int] = set()

    def call(self, place: Place, layer: nnx.Module, function: Callable[..., Any], *given: Any, **named: Any) -> Any:
        """Call a layer with its probes added to its inputs, and keep what went in and came out.

        An input that is given twice, such as the one of self-attention, is one input.
        """
        if id(layer) in self._inside:
            return function(layer, *given, **named)
        self._calls[place.name] += 1
        call = place.name if self._calls[place.name] == 1 else f"{place.name}#{self._calls[place.name]}"
        taken: dict[int, jax.Array] = {}

        def entered(argument: Any) -> Any:
            if not _floating(argument):
                return argument
            if id(argument) not in taken:
                taken[id(argument)] = self._input(f"{call}.input{len(taken) or ''}", argument, place)
            return taken[id(argument)]

        inputs, others = [entered(argument) for argument in given], {k: entered(v) for k, v in named.items()}
        self._inside.add(id(layer))
        try:
            output = function(layer, *inputs, **others)
        finally:
            self._inside.remove(id(layer))
        return self._left(call, output, place.channels)

    def _left(self, call: str, output: Any, channels: bool) -> Any:
        leaves, structure = jax.tree.flatten(output)
        floating = [index for index, leaf in enumerate(leaves) if _floating(leaf)]
        for number, index in enumerate(floating):
            leaves[index] = rounded(leaves[index], self._bits)
            self.forward[f"{call}.output{number or ''}"] = in_front(leaves[index], channels)
        return jax.tree.unflatten(structure, leaves)

    def _input(self, name: str, array: jax.Array, place: Place) -> jax.Array:
        array = rounded(array, self._bits)
        if self._probes is not None:
            probe = self._probes[name]
            if place.order is not None:
                probe = probe[..., np.argsort(place.order)]
            array = array + behind(probe, place.channels)
        seen = in_front(array, place.channels)
        self.forward[name] = seen if place.order is None else seen[..., place.order]
        self.inputs.append(name)
        return array


def in_front(array: jax.Array, channels: bool) -> jax.Array:
    """An activation in torch's layout: where it has `channels`, they come right behind the examples."""
    return jnp.moveaxis(array, -1, 1) if channels and array.ndim > 2 else array


def behind(array: jax.Array, channels: bool) -> jax.Array:
    """The way back from `in_front`."""
    return jnp.moveaxis(array, 1, -1) if channels and array.ndim > 2 else array


def _floating(value: object) -> bool:
    return isinstance(value, jax.Array) and bool(jnp.issubdtype(value.dtype, jnp.floating))


def arrays_of(output: Any) -> dict[str, jax.Array]:
    """The arrays of a model's output: `output`, and where there are more `output1` and so on."""
    return {f"output{index or ''}": jnp.asarray(leaf) for index, leaf in enumerate(jax.tree.leaves(output))}


@contextmanager
def watch(
    model: object, places: Mapping[int, Place], bits: int | None, probes: dict[str, jax.Array] | None = None
) -> Iterator[Layers]:
    """Watch the modules that stand in `places` by their identity while the model runs, and what the model gives.

    A layer is called through its class, so the classes' `__call__` are wrapped while this context is open. A model that
    is no `nnx.Module` has no layers.
    """
    layers = Layers(bits, probes)
    modules = [module for _, module in nnx.iter_modules(model)] if isinstance(model, nnx.Module) else []
    classes = {type(m): type(m).__call__ for m in modules if id(m) in places or (m is model and callable(m))}
    own = {kind: "__call__" in vars(kind) for kind in classes}

    def wrap(function: Callable[..., Any]) -> Callable[..., Any]:
        def watched(layer: nnx.Module, *given: Any, **named: Any) -> Any:
            place = places.get(id(layer))
            if place is None:
                output = function(layer, *given, **named)
            else:
                output = layers.call(place, layer, function, *given, **named)
            if layer is model:
                layers.outputs = output
            return output

        return watched

    for kind, function in classes.items():
        kind.__call__ = wrap(function)  # type: ignore[method-assign]
    try:
        yield layers
    finally:
        for kind, function in classes.items():
            if own[kind]:
                kind.__call__ = function  # type: ignore[method-assign]
            else:
                del kind.__call__
