"""Loops over layers that are stacked, taken turn by turn while layers are watched, so that all is in one trace."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple
from unittest.mock import patch

import jax
import jax.numpy as jnp
import numpy as np
from flax.core import axes_scan

from parity.jax_side.place import Place
from parity.jax_side.stacked import Stacked, numbers

if TYPE_CHECKING:
    from parity.jax_side.layers import Layers
    from parity.jax_side.models.protocol import Held, Models
    from parity.jax_side.passing import Pass

MOST = 64
"""So many turns, those of loops in it counted in each, a loop may have that is taken turn by turn. Compiling takes as
long as it does without a scan."""

Token = tuple[int, ...]
"""The how manieth loop or layer it is of a pass or, with the numbers of the loops and turns before it, of a turn."""


class Marks(NamedTuple):
    """The smallest and the largest number in what is called: of the arrays of each layer, and of those of each turn."""

    layers: dict[Token, dict[str, jax.Array]]
    loops: dict[Token, list[jax.Array]]


class Known(NamedTuple):
    """Which layer is called where, and which loops are over layers."""

    places: dict[Token, Place | None]
    loops: frozenset[Token]


class Turns:
    """The turns of the loops of one pass.

    Args:
        stacked: the layers that loops may be over.
        known: what a pass of the same code that was filled with numbers has told; None: this is such a pass.
    """

    def __init__(self, stacked: Stacked, known: Known | None) -> None:
        self.stacked, self.known = stacked, known
        self.marks = Marks({}, {})
        self._at: Token = ()
        self._around = 1
        self._count: Counter[Token] = Counter()

    @property
    def inside(self) -> bool:
        """Whether this is in a turn."""
        return bool(self._at)

    def place(self, held: dict[str, jax.Array]) -> Place | None:
        """The layer that is called now and holds these arrays, by their names in it."""
        token = self._next()
        if self.known is not None:
            return self.known.places.get(token)
        self.marks.layers[token] = {own: _ends(array, 0) for own, array in held.items()}
        return None

    def loop(self, xs: Any, length: int | None) -> tuple[Token, int] | None:
        """Which loop it is that begins now and how many turns it has; None: it is not taken turn by turn."""
        leaves, token = jax.tree.leaves(xs), self._next()
        sizes = {jnp.shape(leaf)[:1] for leaf in leaves} | ({(length,)} if length is not None else set())
        turns = sizes.pop()[0] if len(sizes) == 1 and () not in sizes else 0
        if not 0 < turns * self._around <= MOST:
            return None
        if self.known is not None:
            return (token, turns) if token in self.known.loops else None
        over = [leaf for leaf in leaves if _is_of_numbers(leaf) and leaf.shape[1:] in self.stacked.slices]
        self.marks.loops[token] = [_ends(leaf, 1) for leaf in over]
        return (token, turns) if over else None

    @contextmanager
    def turn(self, token: Token, turns: int, index: int) -> Iterator[None]:
        """A turn of a loop."""
        before = self._at, self._around
        self._at, self._around = (*token, index), self._around * turns
        try:
            yield
        finally:
            self._at, self._around = before

    def _next(self) -> Token:
        self._count[self._at] += 1
        return (*self._at, self._count[self._at])


@contextmanager
def opened(layers: Layers) -> Iterator[None]:
    """Meanwhile loops over layers that are stacked are taken turn by turn."""
    turns, real = layers.turns, jax.lax.scan
    if turns is None:
        yield
        return

    def scan(
        f: Callable[..., Any], init: Any, xs: Any = None, length: int | None = None, reverse: bool = False,
        *others: Any, **named: Any,
    ) -> Any:  # fmt: skip
        given = f, init, xs, length, reverse
        loop = turns.loop(xs, length) if layers.here() and not layers.aside else None
        if loop is None:
            return real(*given, *others, **named)
        with layers.set_aside():
            # What does not fit together is told by the loop itself.
            jax.eval_shape(lambda init, xs: real(f, init, xs, length, reverse, *others, **named), init, xs)
        return _taken(turns, loop, f, init, xs, reverse=reverse)

    with patch.object(jax.lax, "scan", scan), patch.object(axes_scan, "pe", _Aside(layers)):
        yield


def _taken(
    turns: Turns, loop: tuple[Token, int], f: Callable[..., Any], init: Any, xs: Any, *, reverse: bool
) -> tuple[Any, Any]:
    """What `jax.lax.scan` gives."""
    token, length = loop
    carry, structure = jax.tree.map(_as_array, init), jax.tree.structure(init)
    given: list[Any] = [None] * length
    for index in reversed(range(length)) if reverse else range(length):
        x = jax.tree.map(lambda leaf, index=index: jax.lax.index_in_dim(leaf, index, keepdims=False), xs)
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
        return getattr(_PE, name)

    def trace_to_jaxpr_nounits(self, *given: Any, **named: Any) -> Any:
        with self._layers.set_aside():
            return _PE.trace_to_jaxpr_nounits(*given, **named)


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

    def turns(self, batch: dict[str, Any], training: bool, part: Callable[..., Any]) -> Turns | None:
        """The turns of a pass that asks a part; None where there are no loops over layers."""
        if (stacked := self._models.stacked) is None:
            return None
        shapes = tuple((name, array.shape, str(array.dtype)) for name, array in sorted(batch.items()))
        key = getattr(part, "__wrapped__", part), training, shapes
        if key not in self._known:
            marked = jax.jit(partial(self._marked, stacked, part, training))
            # Within a pass that is traced this is run.
            with jax.ensure_compile_time_eval():
                empty = {name: np.zeros(array.shape, array.dtype) for name, array in batch.items()}
                digits = [marked(self._models.numbered(digit), empty) for digit in range(stacked.digits)]
                self._known[key] = _known(stacked, jax.device_get(digits))
        return Turns(stacked, self._known[key])

    def _marked(
        self, stacked: Stacked, part: Callable[..., Any], training: bool, held: Held, batch: dict[str, Any]
    ) -> Marks:
        """What a pass of a model tells that is filled with numbers."""
        turns = Turns(stacked, None)
        with self._passed(held, batch, None, training=training) as called:
            called._replace(turns=lambda _: turns).ask(part)
        return turns.marks


def _known(stacked: Stacked, digits: list[Marks]) -> Known:
    first = digits[0]
    places = {
        token: stacked.place({own: numbers(marks.layers[token][own] for marks in digits)[0] for own in held})
        for token, held in first.layers.items()
    }
    loops = {
        token
        for token, leaves in first.loops.items()
        for index in range(len(leaves))
        if all(map(stacked.is_one, numbers(marks.loops[token][index] for marks in digits)))
    }
    return Known(places, frozenset(loops))


def _is_of_numbers(array: Any) -> bool:
    return bool(jnp.issubdtype(array.dtype, jnp.number)) and array.size > 0


def _ends(array: jax.Array, before: int) -> jax.Array:
    """The smallest and the largest number of an array, for each place along the axes that stand `before`."""
    axes = tuple(range(before, array.ndim))
    return jnp.stack([array.min(axes), array.max(axes)], axis=-1).astype(jnp.float32)
