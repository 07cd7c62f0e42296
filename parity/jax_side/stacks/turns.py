"""Loops over layers or with taps in them, taken turn by turn while these are watched, so that all is in one trace."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import partial, wraps
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

import jax
import jax.numpy as jnp
import numpy as np
from flax.core import axes_scan

from parity.jax_side.dropout.repeated import check_masks
from parity.jax_side.everywhere import everywhere
from parity.jax_side.place import Place
from parity.jax_side.stacks.marks import Known, Marks, Token, ends, known_by
from parity.jax_side.stacks.stacked import Stacked

if TYPE_CHECKING:
    from parity.jax_side.layers import Layers
    from parity.jax_side.models.protocol import Held, Models
    from parity.jax_side.passing import Pass

MOST = 64
"""A loop of more turns, nested ones multiplied, is not taken turn by turn: each turn is compiled.

Measured on two CPU cores, a transformer of NNX: a pass with its gradients takes 2 s with 12 or 48 blocks in the loop as
it is, 8 s with 12 turns and 29 s with 48. The check of 12 blocks takes 33 s, without a scan 25 s.
"""


class Turns:
    """The turns of the loops of one pass.

    Args:
        stacked: the layers that loops may be over; None: there are none.
        known: what a pass of the same code that was filled with numbers has told; None: this is such a pass.

    Attributes:
        marks: what this pass tells, if it is such a one.
        inside: whether this is in a turn.
    """

    def __init__(self, stacked: Stacked | None, known: Known | None) -> None:
        self.stacked, self.known = stacked, known
        self.marks = Marks({}, {}, {})
        self.inside = False
        self._at: Token = ()
        self._around = 1
        self._count: Counter[Token] = Counter()

    def place(self, held: dict[str, jax.Array]) -> Place | None:
        """The layer that is called now and holds these arrays, by their names in it."""
        token = self._next()
        if self.known is not None:
            return self.known.places.get(token)
        self.marks.layers[token] = {own: ends(array, 0) for own, array in held.items()}
        return None

    def loop(self, xs: Any, length: int | None) -> tuple[Token, int] | None:
        """Which loop it is that begins now and how many turns it has; None: too many to be taken one by one."""
        leaves, token = jax.tree.leaves(xs), self._next()
        sizes = {jnp.shape(leaf)[:1] for leaf in leaves} | ({(length,)} if length is not None else set())
        turns = sizes.pop()[0] if len(sizes) == 1 and () not in sizes else 0
        if not 0 < turns * self._around <= MOST:
            return None
        if self.known is not None:
            return token, turns
        slices = self.stacked.slices if self.stacked else ()
        over = [leaf for leaf in leaves if _is_of_numbers(leaf) and leaf.shape[1:] in slices]
        self.marks.loops[token] = [ends(leaf, 1) for leaf in over]
        return token, turns

    @contextmanager
    def turn(self, token: Token, turns: int, index: int) -> Iterator[None]:
        """A turn of a loop."""
        before = self.inside, self._at, self._around
        self.inside, self._at, self._around = True, (*token, index), self._around * turns
        try:
            yield
        finally:
            self.inside, self._at, self._around = before

    @contextmanager
    def all_turns(self, turns: int) -> Iterator[Marks]:
        """All turns of a loop at once, in a pass that is filled with numbers, and what they tell."""
        before = self.marks, self._count
        self.marks, self._count = Marks({}, {}, {}), Counter()
        try:
            with self.turn((), turns, 0):
                self._at = ()
                yield self.marks
        finally:
            self.marks, self._count = before

    def _next(self) -> Token:
        self._count[self._at] += 1
        return (*self._at, self._count[self._at])


@contextmanager
def opened(layers: Layers) -> Iterator[None]:
    """Meanwhile loops over layers or with taps are taken turn by turn, and what is in one is computed once.

    `jax.checkpoint`, which would compute it again on the way back, has a trace of its own.
    """
    stand_ins: dict[Callable[..., Any], Callable[..., Any]] = {}
    if layers.turns is not None:
        stand_ins = {
            jax.lax.scan: _scan(layers, layers.turns, jax.lax.scan),
            **{real: _kept(layers, real) for real in (jax.checkpoint, jax.remat)},
        }
    with everywhere(stand_ins), patch.object(axes_scan, "pe", _Aside(layers)):
        yield


def _scan(layers: Layers, turns: Turns, real: Callable[..., Any]) -> Callable[..., Any]:
    """What stands in for `jax.lax.scan`."""

    def scan(
        f: Callable[..., Any], init: Any, xs: Any = None, length: int | None = None, reverse: bool = False,
        unroll: int | bool = 1, **named: Any,
    ) -> Any:  # fmt: skip
        whole = partial(real, length=length, reverse=reverse, unroll=unroll, **named)
        loop = turns.loop(xs, length) if layers.here() and not layers.aside else None
        if loop is None:
            return whole(f, init, xs)
        if turns.known is None:
            return _marked(layers, turns, loop, f, init, xs, whole)
        if loop[0] not in turns.known.loops:
            given = _unless_tapped(layers, whole, f, init, xs)
            if given is not None:
                return given
        with layers.set_aside():
            # What does not fit together is told by the loop itself, and which masks are one.
            check_masks(jax.make_jaxpr(lambda init, xs: whole(f, init, xs))(init, xs))
        return _taken(layers, turns, loop, f, init, xs, reverse=reverse)

    return scan


def _kept(layers: Layers, real: Callable[..., Any]) -> Callable[..., Any]:
    """What stands in for `jax.checkpoint`."""

    def kept(f: Callable[..., Any], *given: Any, **named: Any) -> Callable[..., Any]:
        again = real(f, *given, **named)

        @wraps(f)
        def called(*given: Any, **named: Any) -> Any:
            once = layers.in_turn() and layers.here() and not layers.aside
            return (f if once else again)(*given, **named)

        return called

    return kept


def _marked(
    layers: Layers, turns: Turns, loop: tuple[Token, int], f: Callable[..., Any], init: Any, xs: Any,
    whole: Callable[..., Any],
) -> Any:  # fmt: skip
    """What `jax.lax.scan` gives, and what the layers in it hold is told, unless Python would make each turn another."""
    token, length = loop
    if _program(layers, f, init, xs) != _program(layers, f, init, xs):
        del turns.marks.loops[token]
        return whole(f, init, xs)

    def turn(carry: Any, x: Any) -> tuple[Any, Any]:
        with layers.joining_trace(), turns.all_turns(length) as marks:
            carry, y = f(carry, x)
        return carry, (y, marks)

    carry, (ys, turns.marks.turns[token]) = whole(turn, init, xs)
    return carry, ys


def _unless_tapped(layers: Layers, whole: Callable[..., Any], f: Callable[..., Any], init: Any, xs: Any) -> Any:
    """What a loop gives as it is; None where a turn calls a tap, and Python would make no turn another.

    It is traced as it is first: what Python counts in a turn is then what it is outside of a check.
    """
    masks, hidden = layers.masks, {*layers.hidden}
    mark = masks.mark() if masks else None
    before, layers.tapped = layers.tapped, False
    given = whole(f, init, xs)
    found, layers.tapped = layers.tapped, before
    if not found or _program(layers, f, init, xs) != _program(layers, f, init, xs):
        return given
    layers.hidden = hidden
    if masks and mark:
        masks.rewind(mark)
    return None


def _program(layers: Layers, f: Callable[..., Any], init: Any, xs: Any) -> tuple[str, list[bytes]]:
    """A turn as JAX traces it, and the numbers that are written out in it."""
    x = jax.tree.map(lambda leaf: jax.lax.index_in_dim(leaf, 0, keepdims=False), xs)
    # Another function each time: JAX keeps what it has traced.
    with layers.set_aside():
        program = jax.make_jaxpr(lambda carry, x: f(carry, x))(init, x)
    written = [np.asarray(array).tobytes() for array in program.consts if not isinstance(array, jax.core.Tracer)]
    # Without where a function lies, and the count of Linen's keys, by which nothing is drawn.
    return re.sub(r" at 0x[0-9a-f]+|(?<=random_fold_in )\w+ \d+", "", str(program.jaxpr)), written


def _taken(
    layers: Layers, turns: Turns, loop: tuple[Token, int], f: Callable[..., Any], init: Any, xs: Any, *, reverse: bool
) -> tuple[Any, Any]:
    """What `jax.lax.scan` gives."""
    token, length = loop
    carry, structure = jax.tree.map(_as_array, init), jax.tree.structure(init)
    given: list[Any] = [None] * length
    leaves, of_xs = jax.tree.flatten(xs)
    # Taken apart at once, which is quicker to compile on the way back.
    apart = [jax.lax.split(leaf, [1] * length) for leaf in leaves]
    order = reversed(range(length)) if reverse else range(length)
    for index in layers.masks.turns(length, order) if layers.masks else order:
        x = jax.tree.unflatten(of_xs, [jax.lax.squeeze(parts[index], [0]) for parts in apart])
        with turns.turn(token, length, index):
            # Flax's own containers come out with more in them than went in.
            carry, given[index] = f(jax.tree.unflatten(structure, jax.tree.leaves(carry)), x)
    return carry, jax.tree.map(lambda *ys: jnp.stack(ys), *given)


def _as_array(leaf: Any) -> jax.Array:
    return leaf if isinstance(leaf, jax.Array) else jnp.asarray(leaf)


class _Aside:
    """What Linen traces a turn with, once more than it is run, to see what stays the same: nothing is seen there."""

    def __init__(self, layers: Layers) -> None:
        self._layers = layers

    def __getattr__(self, name: str) -> Any:
        real = getattr(_PE, name)
        # Flax 0.12.8 calls another one of these than 0.12.10.
        if not name.startswith("trace_to_jaxpr"):
            return real

        def traced(*given: Any, **named: Any) -> Any:
            with self._layers.set_aside():
                return real(*given, **named)

        return traced


_PE = vars(axes_scan)["pe"]


class Calls:
    """Which layers a side's code calls in the turns of its loops, told once for each part, mode and shape of a batch.

    Args:
        models: of the side.
        passed: a call of the side's own code.
    """

    def __init__(self, models: Models, passed: Callable[..., AbstractContextManager[Pass]]) -> None:
        self._models, self._passed = models, passed
        self._known: dict[Any, Known] = {}

    def turns(self, batch: dict[str, Any], training: bool, part: Callable[..., Any]) -> Turns:
        """The turns of a pass that asks a part."""
        if (stacked := self._models.stacked) is None:
            return Turns(None, Known({}, frozenset()))
        shapes = tuple((name, array.shape, str(array.dtype)) for name, array in sorted(batch.items()))
        key = getattr(part, "__wrapped__", part), training, shapes
        if key not in self._known:
            marked = jax.jit(partial(self._marked, stacked, part, training))
            empty = {name: np.zeros(array.shape, array.dtype) for name, array in batch.items()}
            with jax.ensure_compile_time_eval():
                filled = [self._models.held(stacked.arrays(digit)) for digit in range(stacked.digits)]
            # Within a pass that is traced this is run. What is not stacked is filled with NaN.
            with jax.debug_nans(False):
                run = marked.lower(filled[0], empty).compile()
                self._known[key] = known_by(stacked, jax.device_get([run(held, empty) for held in filled]))
        return Turns(stacked, self._known[key])

    def _marked(
        self, stacked: Stacked, part: Callable[..., Any], training: bool, held: Held, batch: dict[str, Any]
    ) -> Marks:
        """What a pass of a model tells that is filled with numbers."""
        turns = Turns(stacked, None)
        with self._passed(held, batch, None, training=training) as called:
            called._replace(turns=lambda _: turns).ask(part)
        return turns.marks


def _is_of_numbers(array: Any) -> bool:
    return bool(jnp.issubdtype(array.dtype, jnp.number)) and array.size > 0
