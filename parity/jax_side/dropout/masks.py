"""Dropout by masks drawn in NumPy."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial, wraps
from inspect import signature
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from parity.errors import NotCheckable
from parity.jax_side.dropout.keys import Keys
from parity.jax_side.dropout.mask import Mask, kept
from parity.jax_side.dropout.matching import Apart, Branches, Called, Dropout, Loop, Path, Told
from parity.jax_side.everywhere import everywhere
from parity.jax_side.layers import trace

_UNLIKE = jax.make_user_context()  # type: ignore[no-untyped-call]
"""In another of these contexts JAX traces a function anew that it has traced already, and so calls what it calls."""


class _At(NamedTuple):
    """Where a pass is.

    Attributes:
        before, drawn: together the number of the next mask; what was drawn in this loop is known as it is traced.
        trace: in which it is.
        keys: of the dropouts so far.
        called, path: what is called in this loop or branch, and where that is.
        examples: of each loop around it whose turns are examples of one mask: how many, and which one this is.
    """

    before: Any
    drawn: int
    trace: object
    keys: tuple[Any, ...]
    called: list[Called]
    path: Path = ()
    examples: tuple[tuple[int, Any], ...] = ()

    @property
    def number(self) -> jax.Array:
        return jnp.asarray(self.before + self.drawn, jnp.int32)


class Mark(NamedTuple):
    """Where a pass was, and how much it had called in the loop or branch that it was in."""

    at: _At
    called: int


class Masks:
    """The masks of one pass, in the order in which they are drawn as it runs.

    In a loop the number of the next mask is carried from turn to turn, so that each turn has masks of its own.

    Args:
        stream: what they are drawn from.
        anew: where contexts are entered until the end of the pass.
        keys: are told of each key.

    Attributes:
        called: what is called.
        told: which of torch's masks are drawn.
    """

    def __init__(self, stream: jax.Array, anew: ExitStack, keys: Keys) -> None:
        self._stream, self._anew, self._keys = stream, anew, keys
        self.called: list[Called] = []
        self.told = Told()
        self._at = _At(0, 0, trace(), (), self.called)
        self._forget()

    def next(self, key: Any, rate: Any, shape: tuple[int, ...]) -> jax.Array:
        """The next mask, of a dropout that would draw by this key.

        Raises:
            NotCheckable: the key was another dropout's, and both would leave out the same.
        """
        if any(key is other for other in self._at.keys):
            raise NotCheckable(
                "the jax side calls two dropouts with one key, so that both leave out the same: divide it, as by "
                "jax.random.split"
            )
        self._keys.asked = True
        called = Dropout(shape, trace())
        path, at = self._begin(called), self._at
        told = isinstance(rate, float | np.floating)
        apart = self.told.apart.get(path, Apart())
        sizes = tuple(turns for turns, _ in at.examples)
        drawn = Mask(shape, float(rate) if told else None, self._keys, self, path, sizes, apart.strides)
        place = jnp.stack([at.number, *(index for _, index in at.examples)])
        self._at = at._replace(drawn=at.drawn + apart.taken, keys=(*at.keys, key))
        self._inside()
        return kept(drawn, called, self._stream, place, key, *(() if told else (rate,)))

    def _begin(self, called: Called) -> Path:
        """Where that is which is called now."""
        self._at.called.append(called)
        return (*self._at.path, len(self._at.called) - 1)

    def _inside(self) -> None:
        """In a function that is compiled by itself, and may be called again: let it be traced again then."""
        if trace() != self._at.trace:
            self._forget()

    def _forget(self) -> None:
        self._anew.enter_context(_UNLIKE(object()))

    def mark(self) -> Mark:
        """Where the pass is now."""
        return Mark(self._at, len(self._at.called))

    def rewind(self, mark: Mark) -> None:
        """Be there again: what was called since counts for nothing."""
        self._at = mark.at
        del self._at.called[mark.called :]

    @contextmanager
    def set_aside(self) -> Iterator[None]:
        """What is called meanwhile is not run, and counts for nothing."""
        mark = self.mark()
        try:
            yield
        finally:
            self.rewind(mark)

    def scan(self, real: Callable[..., Any]) -> Callable[..., Any]:
        """`jax.lax.scan`, each turn with masks of its own, or with its part of one."""

        @wraps(real)
        def scan(f: Callable[..., Any], init: Any, xs: Any = None, length: int | None = None, **named: Any) -> Any:
            if jax.config.values["jax_disable_jit"]:
                return real(f, init, xs, length, **named)
            self._inside()
            turns = len(jax.tree.leaves(xs)[0]) if length is None else length
            loop, ends, step = Loop(turns), _Ends(), -1 if named.get("reverse") else 1
            path, around = self._begin(loop), self._at
            together = path in self.told.together

            def turn(carried: Any, x: Any) -> Any:
                carry, number, index = carried
                examples = (*around.examples, (turns, index)) if together else around.examples
                loop.body.clear()
                self._at = begun = _At(number, 0, trace(), around.keys, loop.body, path, examples)
                carry, y = f(carry, x)
                ends.seen(0, begun, self._at)
                return (carry, number if together else self._at.number, index + step), y

            first = jnp.asarray(0 if step > 0 else turns - 1, jnp.int32)
            with self.set_aside():
                (carry, number, _), ys = real(turn, (init, around.number, first), xs, length, **named)
            self._end(loop.body, ends, number, 1 if together else turns)
            return carry, ys

        return scan

    def turns(self, turns: int, order: Iterable[int]) -> Iterator[int]:
        """The turns of a loop that are taken one by one, each with what it has in `scan`."""
        loop = Loop(turns)
        path, around = self._begin(loop), self._at
        for index in order:
            loop.body.clear()
            at = self._at._replace(called=loop.body, path=path)
            if path in self.told.together:
                one = turns, jnp.asarray(index, jnp.int32)
                at = at._replace(before=around.before, drawn=around.drawn, examples=(*around.examples, one))
            self._at = at
            yield index
        self._at = self._at._replace(called=around.called, path=around.path, examples=around.examples)
        if not loop.body:
            around.called.pop()

    def branches(self, real: Callable[..., Any]) -> Callable[..., Any]:
        """`jax.lax.cond` or `jax.lax.switch`, of whose branches one is run, each with the masks that are next."""

        @wraps(real)
        def chosen(*given: Any, **named: Any) -> Any:
            if jax.config.values["jax_disable_jit"]:
                return real(*given, **named)
            self._inside()
            branches, ends, known = Branches(), _Ends(), _known_branch(real, *given, **named)
            path, around = self._begin(branches), self._at

            def branch(function: Any, index: int, *, counted: bool) -> Any:
                def called(*operands: Any) -> Any:
                    body: list[Called] = []
                    self._at = begun = around._replace(trace=trace(), called=body, path=(*path, index))
                    found = function(*operands)
                    if known in (None, index):
                        branches.bodies[index] = body
                        ends.seen(index, begun, self._at)
                    return (found, self._at.number) if counted else found

                return called if callable(function) else function

            def run(*, counted: bool) -> Any:
                with self.set_aside():
                    return _with_branches(real, partial(branch, counted=counted), *given, **named)

            found, number = run(counted=False), None
            if ends.unlike:
                found, number = run(counted=True)
            self._end([*branches.bodies.values()], ends, number, 1)
            return found

        return chosen

    def _end(self, called: Sequence[Any], ends: _Ends, number: Any, times: int) -> None:
        """Behind a loop or branches."""
        if not any(called):
            self._at.called.pop()
        if ends.unlike and trace() != self._at.trace:
            raise NotCheckable(
                "the jax side calls more dropouts in one branch than in another, inside of a function that is compiled "
                "or mapped by itself, so that nobody can count those behind it: take the branch outside of jax.jit, "
                "jax.checkpoint or jax.vmap, or call as many in each branch"
            )
        if ends.unlike:
            self._at = self._at._replace(before=number, drawn=0)
        elif ends.drawn:
            self._at = self._at._replace(drawn=self._at.drawn + times * max(ends.drawn))
        self._at = self._at._replace(keys=(*self._at.keys, *ends.keys))


class _Ends:
    """How many masks the turns of a loop, or each of several branches, draw."""

    def __init__(self) -> None:
        self._found: dict[int, tuple[_At, _At]] = {}

    def seen(self, index: int, begun: _At, ended: _At) -> None:
        """A turn, or the branch of that number."""
        self._found[index] = begun, ended

    @property
    def drawn(self) -> set[int]:
        return {ended.drawn - begun.drawn for begun, ended in self._found.values()}

    @property
    def unlike(self) -> bool:
        """Whether only the run tells how many."""
        return len(self.drawn) > 1 or any(begun.before is not ended.before for begun, ended in self._found.values())

    @property
    def keys(self) -> list[Any]:
        return [key for begun, ended in self._found.values() for key in ended.keys[len(begun.keys) :]]


def _with_branches(real: Callable[..., Any], branch: Callable[[Any, int], Any], *given: Any, **named: Any) -> Any:
    """What `jax.lax.cond` or `jax.lax.switch` gives with each branch replaced; the first has the number -1."""
    bound = signature(real).bind(*given, **named)
    taken = bound.arguments
    for index, name in enumerate(("true_fun", "false_fun"), 1):
        if name in taken:
            taken[name] = branch(taken[name], -index)
    if "branches" in taken:
        taken["branches"] = [branch(one, -index) for index, one in enumerate(taken["branches"], 1)]
    return real(*bound.args, **bound.kwargs)


def _known_branch(real: Callable[..., Any], *given: Any, **named: Any) -> int | None:
    """The number of the branch, where that is known before the run, as by the mode; None: it is not."""
    bound = signature(real).bind(*given, **named).arguments
    told = next(iter(bound.values()))
    if isinstance(told, jax.core.Tracer):
        return None
    if "branches" not in bound:
        return -1 if told else -2
    # What is no branch is taken for the nearest one.
    return -1 - min(max(int(told), 0), len(bound["branches"]) - 1)


@contextmanager
def injected(stream: jax.Array | None, keys: Keys) -> Iterator[Masks | None]:
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
        masks = Masks(stream, anew, keys)
        stand_ins = {one: masks.branches(one) for one in (jax.lax.cond, jax.lax.switch)}
        anew.enter_context(everywhere({real: bernoulli, jax.lax.scan: masks.scan(jax.lax.scan), **stand_ins}))
        yield masks
