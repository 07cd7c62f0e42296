"""What goes in and out of every layer of an `nnx.Module`, and zero probes that let its inputs be differentiated by."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx


def rounded(array: jax.Array, bits: int | None) -> jax.Array:
    """`array` to `bits` mantissa bits (None: as it is); the gradient passes as if nothing had been rounded."""
    if bits is None or not jnp.issubdtype(array.dtype, jnp.floating):
        return array
    exponent = jnp.finfo(array.dtype).nexp  # type: ignore[no-untyped-call]
    change = jax.lax.reduce_precision(array, exponent_bits=exponent, mantissa_bits=bits) - array
    return array + jax.lax.stop_gradient(change)


class Layers:
    """Arrays of one traced pass: `forward` has inputs and outputs in the order of the calls."""

    def __init__(self, bits: int | None, probes: dict[str, jax.Array] | None) -> None:
        self.forward: dict[str, jax.Array] = {}
        self.inputs: list[str] = []
        self._bits = bits
        self._probes = probes
        self._calls: Counter[str] = Counter()
        self._inside: set[int] = set()

    def call(self, name: str, layer: nnx.Module, function: Callable[..., Any], *given: Any, **named: Any) -> Any:
        """Call a layer with its probes added to its inputs, and keep what went in and came out."""
        if id(layer) in self._inside:
            return function(layer, *given, **named)
        self._calls[name] += 1
        call = name if self._calls[name] == 1 else f"{name}#{self._calls[name]}"
        inputs = [
            self._input(f"{call}.input{index or ''}", argument) if _floating(argument) else argument
            for index, argument in enumerate(given)
        ]
        self._inside.add(id(layer))
        try:
            output = function(layer, *inputs, **named)
        finally:
            self._inside.remove(id(layer))
        if _floating(output):
            output = self.forward[f"{call}.output"] = rounded(output, self._bits)
        return output

    def _input(self, name: str, array: jax.Array) -> jax.Array:
        array = rounded(array, self._bits)
        if self._probes is not None:
            array = array + self._probes[name]
        self.forward[name] = array
        self.inputs.append(name)
        return array


def _floating(value: object) -> bool:
    return isinstance(value, jax.Array) and bool(jnp.issubdtype(value.dtype, jnp.floating))


def _owners(model: object) -> dict[int, str]:
    """The name of every submodule that owns parameters itself, by identity."""
    if not isinstance(model, nnx.Module):
        return {}
    return {
        id(module): ".".join(map(str, path)) or "model"
        for path, module in nnx.iter_modules(model)
        if any(isinstance(value, nnx.Param) for value in vars(module).values())
    }


@contextmanager
def watch(model: object, bits: int | None, probes: dict[str, jax.Array] | None = None) -> Iterator[Layers]:
    """Watch every submodule that owns parameters while the model runs. A model that is no `nnx.Module` has no layers.

    A layer is called through its class, so the classes' `__call__` are wrapped while this context is open.
    """
    layers, names = Layers(bits, probes), _owners(model)
    modules = nnx.iter_modules(model) if isinstance(model, nnx.Module) else ()
    classes = {type(module): type(module).__call__ for _, module in modules if id(module) in names}
    own = {kind: "__call__" in vars(kind) for kind in classes}

    def wrap(function: Callable[..., Any]) -> Callable[..., Any]:
        def watched(layer: nnx.Module, *given: Any, **named: Any) -> Any:
            name = names.get(id(layer))
            if name is None:
                return function(layer, *given, **named)
            return layers.call(name, layer, function, *given, **named)

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
