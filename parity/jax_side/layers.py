"""What goes in and out of every layer of a Flax module, and what stands at taps.

Zero probes let inputs and taps be differentiated by.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen, nnx
from jax.extend.core import get_opaque_trace_state

from parity.errors import NotCheckable
from parity.recording import Array
from parity.tap import check_tap


class Place(NamedTuple):
    """Where a module of the JAX side stands on the torch side.

    Attributes:
        name: of its torch counterpart.
        channels: whether what goes in and comes out has its channels last here, and behind the examples there.
        order: where each feature that goes in on the torch side stands on this side; None: at the same place. They
            part behind a convolution that is flattened.
        gives: the same of the features that come out. They part before a convolution that unflattens them.
    """

    name: str
    channels: bool
    order: Array | None = None
    gives: Array | None = None


def rounded(array: jax.Array, bits: int | None) -> jax.Array:
    """`array` to `bits` mantissa bits (None: as it is); the gradient passes as if nothing had been rounded."""
    if bits is None or not jnp.issubdtype(array.dtype, jnp.floating):
        return array
    exponent = jnp.finfo(array.dtype).nexp  # type: ignore[no-untyped-call]
    change = jax.lax.reduce_precision(array, exponent_bits=exponent, mantissa_bits=bits) - array
    # What is infinite, or becomes so on the way, stays as it is.
    return array + jax.lax.stop_gradient(jnp.where(jnp.isfinite(change), change, 0))


class Layers:
    """Arrays of one traced pass, in torch's layout: `forward` has inputs and outputs in the order of the calls.

    `outputs` are the model's own, as its last call gave them. A call inside a transformation of the model's own, such
    as a scan, belongs to another trace, from which nothing can be handed out: `hidden` has the layers so called, and
    `within` says that the model itself was. Only `jax.vmap` hands out, all examples together.

    Args:
        bits: every recorded activation is rounded to so many mantissa bits; None: not at all.
        probes: zeros that are added to the inputs, to differentiate by.
        taught: what every layer is handed instead of what comes to it, and what is handed on instead of what it gives.
        names: of the layers, which no tap may have.
    """

    def __init__(
        self, bits: int | None, probes: dict[str, jax.Array] | None, taught: dict[str, jax.Array] | None = None,
        names: Collection[str] = (),
    ) -> None:  # fmt: skip
        self.forward: dict[str, jax.Array] = {}
        self.inputs: list[str] = []
        self.outputs: Any = None
        self.hidden: set[str] = set()
        self.within = False
        self._trace = _trace()
        self._bits = bits
        self._probes = probes
        self._taught = taught or {}
        self._names = names
        self._calls: Counter[str] = Counter()
        self._inside: set[str] = set()

    def call(self, place: Place, function: Callable[..., Any], *given: Any, **named: Any) -> Any:
        """Call a layer, a function of what goes in, with its probes added to that, and keep what went in and came out.

        An input that is given twice, such as the one of self-attention, is one input.
        """
        if place.name in self._inside:
            return function(*given, **named)
        if not self.here():
            self.hidden.add(place.name)
            return function(*given, **named)
        call = self._called(place.name)
        taken: dict[int, jax.Array] = {}

        def entered(argument: Any) -> Any:
            if not _floating(argument):
                return argument
            if id(argument) not in taken:
                taken[id(argument)] = self._input(f"{call}.input{len(taken) or ''}", argument, place)
            return taken[id(argument)]

        inputs, others = [entered(argument) for argument in given], {k: entered(v) for k, v in named.items()}
        self._inside.add(place.name)
        try:
            output = function(*inputs, **others)
        finally:
            self._inside.remove(place.name)
        return self._left(call, output, place)

    def tap(self, value: Any, name: str) -> jax.Array:
        """At a tap: keep what stands there, and hand it on with its probe added."""
        check_tap(name, self._names, value, "an array of JAX's of floating numbers", fits=_floating(value))
        array: jax.Array = value
        if self.here():
            return self._input(f"{self._called(name)}.tap", array, Place(name, channels=False))
        if _is_one_of_many(array):
            return _of_all(array, lambda examples: self.tap(examples, name))
        self.hidden.add(name)
        return array

    def _called(self, name: str) -> str:
        """The name of one more call."""
        self._calls[name] += 1
        return name if self._calls[name] == 1 else f"{name}#{self._calls[name]}"

    def gave(self, output: Any) -> None:
        """Keep what the model itself gave."""
        if self.here():
            self.outputs = output
            return
        self.outputs, self.within = None, True
        leaves, structure = jax.tree.flatten(output)
        found: dict[int, jax.Array] = {}
        for index, leaf in enumerate(leaves):
            self._hand_out(found, index, leaf)
        if leaves and len(found) == len(leaves):
            self.outputs = jax.tree.unflatten(structure, [found[index] for index in range(len(leaves))])

    def _hand_out(self, found: dict[int, jax.Array], index: int, array: jax.Array) -> jax.Array:
        if self.here():
            found[index] = array
        elif _is_one_of_many(array):
            _of_all(array, lambda examples: self._hand_out(found, index, examples))
        return array

    def here(self) -> bool:
        """Whether what is called now belongs to the trace that is watched."""
        return bool(_trace() == self._trace)

    def _left(self, call: str, output: Any, place: Place) -> Any:
        leaves, structure = jax.tree.flatten(output)
        floating = [index for index, leaf in enumerate(leaves) if _floating(leaf)]
        for number, index in enumerate(floating):
            leaves[index] = rounded(leaves[index], self._bits)
            name = f"{call}.output{number or ''}"
            self.forward[name] = _as_torch_has_it(leaves[index], place, place.gives)
            if name in self._taught:
                leaves[index] = self._handed_on(_as_it_comes(self._taught[name], place, place.gives), leaves[index])
        return jax.tree.unflatten(structure, leaves)

    def _input(self, name: str, array: jax.Array, place: Place) -> jax.Array:
        array = rounded(array, self._bits)
        if self._probes is not None:
            array = array + _as_it_comes(self._probes[name], place, place.order)
        self.forward[name] = _as_torch_has_it(array, place, place.order)
        self.inputs.append(name)
        if name not in self._taught:
            return array
        return self._handed_on(_as_it_comes(self._taught[name], place, place.order), array)

    def _handed_on(self, taught: jax.Array, array: jax.Array) -> jax.Array:
        """What is taught for a place, if it has the shape of what comes there."""
        if taught.shape != array.shape:
            return array
        # Exactly what is taught, and the gradient passes as if nothing had been.
        return taught if self._probes is None else taught + (array - jax.lax.stop_gradient(array))


def _as_torch_has_it(array: jax.Array, place: Place, order: Array | None) -> jax.Array:
    """An activation of a layer in torch's layout, its features, which come last here, in torch's order."""
    return in_front(_ordered(array, order), place.channels)


def _as_it_comes(array: jax.Array, place: Place, order: Array | None) -> jax.Array:
    """The way back from `_as_torch_has_it`."""
    return _ordered(behind(array, place.channels), None if order is None else np.argsort(order))


def _ordered(array: jax.Array, order: Array | None) -> jax.Array:
    """An array with its features in another order, if it has as many: a layer may be handed other things too."""
    return array if order is None or array.shape[-1:] != order.shape else array[..., order]


def in_front(array: jax.Array, channels: bool) -> jax.Array:
    """An activation in torch's layout: where it has `channels`, they come right behind the examples."""
    return jnp.moveaxis(array, -1, 1) if channels and array.ndim > 2 else array


def behind(array: jax.Array, channels: bool) -> jax.Array:
    """The way back from `in_front`."""
    return jnp.moveaxis(array, 1, -1) if channels and array.ndim > 2 else array


def _trace() -> object:
    """What tells one trace from another. Flax compares the same."""
    return get_opaque_trace_state(convention="flax")  # type: ignore[no-untyped-call]


def _floating(value: object) -> bool:
    return isinstance(value, jax.Array) and bool(jnp.issubdtype(value.dtype, jnp.floating))


def _is_one_of_many(array: jax.Array) -> bool:
    """Whether an array stands for one example inside of `jax.vmap`. Nothing public of JAX's tells."""
    return isinstance(array, jax.core.Tracer) and hasattr(array, "batch_dim")


def _of_all(array: jax.Array, seen: Callable[[jax.Array], jax.Array]) -> jax.Array:
    """What `seen` makes of all examples together, their axis first, where the array is one of them."""

    @jax.custom_batching.custom_vmap
    def one(example: jax.Array) -> jax.Array:
        return example

    @one.def_vmap
    def _(size: int, batched: list[bool], examples: jax.Array) -> tuple[jax.Array, bool]:
        return seen(examples), True

    found: jax.Array = one(array)
    return found


def arrays_of(output: Any) -> dict[str, jax.Array]:
    """The arrays of a model's output: `output`, and where there are more `output1` and so on."""
    return {f"output{index or ''}": jnp.asarray(leaf) for index, leaf in enumerate(jax.tree.leaves(output))}


def shown(layers: Layers) -> dict[str, jax.Array]:
    """The arrays that the model itself gave when the loss called it.

    Raises:
        NotCheckable: it was called where nothing can be handed out.
    """
    if layers.outputs is None and layers.within:
        raise NotCheckable(
            "the jax side's model is called inside a transformation, such as jit, remat or nnx.vmap, where its output "
            "cannot be seen: name the part `predict`, (model, batch) -> output"
        )
    return arrays_of(layers.outputs)


@contextmanager
def watch(
    model: object, places: Mapping[int, Place], bits: int | None, probes: dict[str, jax.Array] | None = None,
    taught: dict[str, jax.Array] | None = None,
) -> Iterator[Layers]:  # fmt: skip
    """Watch the modules that stand in `places` by their identity while the model runs, and what the model gives.

    A layer is called through its class, so the classes' `__call__` are wrapped while this context is open. A model that
    is no `nnx.Module` has no layers.
    """
    layers = Layers(bits, probes, taught, {place.name for place in places.values()})
    modules = [module for _, module in nnx.iter_modules(model)] if isinstance(model, nnx.Module) else []
    classes = {type(m): type(m).__call__ for m in modules if id(m) in places or (m is model and callable(m))}
    own = {kind: "__call__" in vars(kind) for kind in classes}

    def wrap(function: Callable[..., Any]) -> Callable[..., Any]:
        def watched(layer: nnx.Module, *given: Any, **named: Any) -> Any:
            place = places.get(id(layer))
            called = partial(function, layer)
            output = called(*given, **named) if place is None else layers.call(place, called, *given, **named)
            if layer is model:
                layers.gave(output)
            elif type(layer) is type(model) and not layers.here():
                # Flax's own transformations call a copy of the model.
                layers.within = True
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


@contextmanager
def watch_linen(
    places: Mapping[str, Place], bits: int | None, probes: dict[str, jax.Array] | None = None,
    taught: dict[str, jax.Array] | None = None,
) -> Iterator[Layers]:  # fmt: skip
    """Watch the modules of a Linen model that stand in `places` by their paths, and what the model gives."""
    layers = Layers(bits, probes, taught, {place.name for place in places.values()})

    def watched(function: Callable[..., Any], given: Any, named: Any, context: linen.module.InterceptorContext) -> Any:
        path = ".".join(context.module.path)
        if context.method_name != "__call__" or not (path in places or path == ""):
            return function(*given, **named)
        output = layers.call(places[path], function, *given, **named) if path else function(*given, **named)
        if not path:
            layers.gave(output)
        return output

    with linen.intercept_methods(watched):
        yield layers
