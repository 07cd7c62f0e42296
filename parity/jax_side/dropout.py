"""Dropout by masks drawn in NumPy."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import wraps
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from parity.draws import mask
from parity.errors import NotCheckable
from parity.jax_side.everywhere import everywhere
from parity.jax_side.layers import trace
from parity.recording import Array

_UNLIKE = jax.make_user_context()  # type: ignore[no-untyped-call]
"""In another of these contexts JAX traces a function anew that it has traced already, and so calls what it calls."""


class Masks:
    """The masks of one pass, in the order in which they are drawn as it runs.

    In a loop the number of the next mask is carried from turn to turn, so that each turn has masks of its own.

    Args:
        stream: what they are drawn from.
        anew: where contexts are entered until the end of the pass.
    """

    def __init__(self, stream: jax.Array, anew: ExitStack) -> None:
        self._stream, self._anew = stream, anew
        self._before: Any = 0
        self._drawn = 0
        self._trace = trace()
        self._keys: tuple[Any, ...] = ()
        self._forget()

    def next(self, key: Any, rate: Any, shape: tuple[int, ...]) -> jax.Array:
        """The next mask, of a dropout that would draw by this key.

        Raises:
            NotCheckable: the key was another dropout's, and both would leave out the same.
        """
        if any(key is other for other in self._keys):
            raise NotCheckable(
                "the jax side calls two dropouts with one key, so that both leave out the same: divide it, as by "
                "jax.random.split"
            )
        self._keys = (*self._keys, key)
        number = jnp.asarray(self._before + self._drawn, jnp.int32)
        self._drawn += 1
        self._inside()
        return _mask(shape, rate, self._stream, number, key)

    def _inside(self) -> None:
        """In a function that is compiled by itself, and may be called again: let it be traced again then."""
        if trace() != self._trace:
            self._forget()

    def _forget(self) -> None:
        self._anew.enter_context(_UNLIKE(object()))

    @property
    def drawn(self) -> tuple[Any, int, object, tuple[Any, ...]]:
        """What is drawn so far. Set, it is so again, and what was called since counts for nothing."""
        return self._before, self._drawn, self._trace, self._keys

    @drawn.setter
    def drawn(self, before: tuple[Any, int, object, tuple[Any, ...]]) -> None:
        self._before, self._drawn, self._trace, self._keys = before

    @contextmanager
    def set_aside(self) -> Iterator[None]:
        """What is called meanwhile is not run, and counts for nothing."""
        before = self.drawn
        try:
            yield
        finally:
            self.drawn = before

    def scan(self, real: Callable[..., Any]) -> Callable[..., Any]:
        """`jax.lax.scan`, each turn with masks of its own."""

        @wraps(real)
        def scan(f: Callable[..., Any], init: Any, xs: Any = None, length: int | None = None, **named: Any) -> Any:
            if jax.config.values["jax_disable_jit"]:
                return real(f, init, xs, length, **named)
            self._inside()
            drawn = 0

            def turn(carried: Any, x: Any) -> Any:
                nonlocal drawn
                carry, self._before = carried
                self._drawn, self._trace = 0, trace()
                carry, y = f(carry, x)
                drawn = self._drawn
                return (carry, self._before + drawn), y

            with self.set_aside():
                number = jnp.asarray(self._before + self._drawn, jnp.int32)
                (carry, _), ys = real(turn, (init, number), xs, length, **named)
            self._drawn += drawn * (len(jax.tree.leaves(xs)[0]) if length is None else length)
            return carry, ys

        return scan


@contextmanager
def injected(stream: jax.Array | None) -> Iterator[Masks | None]:
    """Every dropout takes its mask from `stream` (None: as it is), in the order of the calls.

    Whatever draws true and false by one rate, `jax.random.bernoulli`, is taken for a dropout: so do Flax's layers and
    attention, and functions written by hand.
    """
    if stream is None:
        yield None
        return
    real = jax.random.bernoulli

    @wraps(real)
    def bernoulli(key: Any, p: Any = 0.5, shape: Any = None, *given: Any, **named: Any) -> Any:
        if shape is None or jnp.ndim(p):
            return real(key, p, shape, *given, **named)
        return masks.next(key, 1 - p, tuple(shape))

    with ExitStack() as anew:
        masks = Masks(stream, anew)
        anew.enter_context(everywhere({real: bernoulli, jax.lax.scan: masks.scan(jax.lax.scan)}))
        yield masks


@dataclass(frozen=True)
class Mask:
    """Draws a mask outside of the program; `rate` is None where the program tells it."""

    shape: tuple[int, ...]
    rate: float | None

    def __call__(self, stream: Any, number: Any, key: Any, *rate: Any) -> Array:
        """The mask of that number from that stream. The key is not drawn by, and tells whether a loop repeats it."""
        return mask(stream, int(number), self.shape, float(rate[0] if self.rate is None else self.rate))


def _mask(shape: tuple[int, ...], rate: Any, *given: Any) -> jax.Array:
    told = isinstance(rate, float | np.floating)
    drawn = Mask(shape, float(rate) if told else None)
    result = jax.ShapeDtypeStruct(shape, jnp.bool_)  # type: ignore[no-untyped-call]

    @jax.custom_batching.custom_vmap
    def kept(stream: Any, number: Any, key: Any, *rate: Any) -> Any:
        return jax.pure_callback(drawn, result, stream, number, jax.random.key_data(key), *rate)

    @kept.def_vmap
    def _(size: int, batched: list[bool], stream: Any, number: Any, key: Any, *rate: Any) -> tuple[jax.Array, bool]:
        # With keys of their own, all examples have one mask together; with one key, each has the same.
        of_all = batched[2]
        return _mask((size, *shape) if of_all else shape, rate[0] if rate else drawn.rate, stream, number, key), of_all

    found: jax.Array = kept(*given, *(() if told else (rate,)))
    return found
