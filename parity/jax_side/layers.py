"""What goes in and out of every layer of a Flax module, and what stands at taps.

Zero probes let inputs and taps be differentiated by.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from functools import partial
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
from flax import linen, nnx
from jax.extend.core import get_opaque_trace_state

from parity.errors import NotCheckable
from parity.jax_side.leaves import dotted, named_leaves
from parity.jax_side.outputs import arrays_of, order_of
from parity.jax_side.place import Place, as_it_comes, as_torch_has_it
from parity.pair.tap import check_tap

if TYPE_CHECKING:
    from parity.jax_side.dropout.masks import Masks
    from parity.jax_side.stacks.turns import Turns


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
    `within` says that the model itself was. Only `jax.vmap` hands out, all examples together. `turns` are those of the
    loops that are taken apart, `masks` those of its dropouts, `aside` says that what is called is not run, and `tapped`
    that a tap was called.

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
        self.within = self.tapped = False
        self.turns: Turns | None = None
        self.aside = False
        self.masks: Masks | None = None
        self._trace = trace()
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
        if self.aside or not self.here():
            self.hidden |= set() if self.aside else {place.name}
            return function(*given, **named)
        call = self._called(place.name)
        taken: dict[int, jax.Array] = {}

        def probed(argument: Any) -> Any:
            if not _floating(argument):
                return argument
            if id(argument) not in taken:
                taken[id(argument)] = self._input(f"{call}.input{len(taken) or ''}", argument, place)
            return taken[id(argument)]

        inputs, others = [probed(argument) for argument in given], {k: probed(v) for k, v in named.items()}
        self._inside.add(place.name)
        try:
            output = function(*inputs, **others)
        finally:
            self._inside.remove(place.name)
        return self._left(call, output, place)

    def place_of(self, held: Callable[[], dict[str, jax.Array]]) -> Place | None:
        """Of a layer whose arrays may be one of several that are stacked: where it stands, if they tell."""
        if self.turns is None or self.aside:
            return None
        place = self.turns.place(held()) if self.here() else None
        if place is None and self.turns.known is not None and self.turns.stacked is not None:
            self.hidden |= {*self.turns.stacked.alike({own: array.shape for own, array in held().items()})}
        return place

    def tap(self, value: Any, name: str) -> jax.Array:
        """At a tap: keep what stands there, and hand it on with its probe added."""
        check_tap(name, self._names, value, "an array of JAX's of floating numbers", fits=_floating(value))
        array: jax.Array = value
        self.tapped = True
        if self.aside:
            return array
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
        if self.aside:
            return
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

    def in_turn(self) -> bool:
        """Whether this is in a turn of a loop over layers."""
        return self.turns is not None and self.turns.inside

    @contextmanager
    def set_aside(self) -> Iterator[None]:
        """Nothing is seen meanwhile: what is called is not run."""
        before, self.aside = self.aside, True
        try:
            with self.masks.set_aside() if self.masks else nullcontext():
                yield
        finally:
            self.aside = before

    @contextmanager
    def joining_trace(self) -> Iterator[None]:
        """What is called belongs to this trace meanwhile."""
        before, self._trace = self._trace, trace()
        try:
            yield
        finally:
            self._trace = before

    def here(self) -> bool:
        """Whether what is called now belongs to the trace that is watched."""
        return bool(trace() == self._trace)

    def _left(self, call: str, output: Any, place: Place) -> Any:
        leaves, structure = jax.tree.flatten(output)
        floating = [index for index in order_of(output) if _floating(leaves[index])]
        for number, index in enumerate(floating):
            leaves[index] = rounded(leaves[index], self._bits)
            name = f"{call}.output{number or ''}"
            self.forward[name] = as_torch_has_it(leaves[index], place, place.gives)
            if name in self._taught:
                leaves[index] = self._handed_on(as_it_comes(self._taught[name], place, place.gives), leaves[index])
        return jax.tree.unflatten(structure, leaves)

    def _input(self, name: str, array: jax.Array, place: Place) -> jax.Array:
        array = rounded(array, self._bits)
        if self._probes is not None:
            array = array + as_it_comes(self._probes[name], place, place.takes)
        self.forward[name] = as_torch_has_it(array, place, place.takes)
        self.inputs.append(name)
        if name not in self._taught:
            return array
        return self._handed_on(as_it_comes(self._taught[name], place, place.takes), array)

    def _handed_on(self, taught: jax.Array, array: jax.Array) -> jax.Array:
        """What is taught for a place, if it has the shape of what comes there."""
        if taught.shape != array.shape:
            return array
        # Exactly what is taught, and the gradient passes as if nothing had been.
        return taught if self._probes is None else taught + (array - jax.lax.stop_gradient(array))


def trace() -> object:
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
    taught: dict[str, jax.Array] | None = None, *, stacks: Collection[int] = (),
) -> Iterator[Layers]:  # fmt: skip
    """Watch the modules that stand in `places` by their identity while the model runs, and what the model gives.

    A layer is called through its class, so the classes' `__call__` are wrapped while this context is open. A model that
    is no `nnx.Module` has no layers. Those in `stacks` are several layers, one in each turn of a loop.
    """
    layers = Layers(bits, probes, taught, {place.name for place in places.values()})
    modules = [module for _, module in nnx.iter_modules(model)] if isinstance(model, nnx.Module) else []
    called = [m for m in modules if id(m) in places or id(m) in stacks or (m is model and callable(m))]
    classes = {type(module): type(module).__call__ for module in called}
    own = {kind: "__call__" in vars(kind) for kind in classes}

    def wrap(function: Callable[..., Any]) -> Callable[..., Any]:
        def watched(layer: nnx.Module, *given: Any, **named: Any) -> Any:
            place = places.get(id(layer)) or (None if layer is model else layers.place_of(partial(_held_by, layer)))
            call = partial(function, layer)
            output = call(*given, **named) if place is None else layers.call(place, call, *given, **named)
            if layer is model:
                layers.gave(output)
            elif type(layer) is type(model) and not (layers.aside or layers.here()):
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


def _held_by(layer: nnx.Module) -> dict[str, jax.Array]:
    """The arrays of a module by their names in it, but for its random streams."""
    return {dotted(path): array for path, array in nnx.to_flat_state(nnx.state(layer, nnx.Not(nnx.RngState)))}


def _variables_of(module: linen.Module) -> dict[str, jax.Array]:
    """The same of a module of Linen, of all its collections."""
    return {name: array for collection in module.variables.values() for name, array in named_leaves(collection)}


@contextmanager
def watch_linen(
    places: Mapping[str, Place], bits: int | None, probes: dict[str, jax.Array] | None,
    taught: dict[str, jax.Array] | None, *, stacks: Collection[str],
) -> Iterator[Layers]:  # fmt: skip
    """Watch the modules of a Linen model that stand in `places` by their paths, and what the model gives.

    Those in `stacks` are several layers, one in each turn of a loop.
    """
    layers = Layers(bits, probes, taught, {place.name for place in places.values()})

    def watched(function: Callable[..., Any], given: Any, named: Any, context: linen.module.InterceptorContext) -> Any:
        path = ".".join(context.module.path)
        if context.method_name != "__call__":
            return function(*given, **named)
        place = layers.place_of(lambda: _variables_of(context.module)) if path in stacks else places.get(path)
        output = function(*given, **named) if place is None else layers.call(place, function, *given, **named)
        if not path:
            layers.gave(output)
        return output

    with linen.intercept_methods(watched):
        yield layers
