"""Places inside a model that a check looks at, by names of the user's.

They cost nothing elsewhere, and need no framework.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from parity.errors import NotCheckable

Value = TypeVar("Value")

_watching: list[Callable[[Any, str], Any]] = []
"""What every tap hands its value to: the pass that a check is making, if it is making one."""


def tap(value: Value, name: str) -> Value:
    """The same value, a tensor of torch's or an array of JAX's, which a check looks at here.

    `scores = tap(scores, "attention.scores")`: in a check, the value that stands here and its gradient are compared
    with what stands at the tap of the same name on the other side, call by call, as what comes out of a layer is.
    """
    if not _watching:
        return value
    seen: Value = _watching[-1](value, name)
    return seen


@contextmanager
def tapped(watch: Callable[[Any, str], Any]) -> Iterator[None]:
    """Meanwhile every tap gives what `watch` makes of its value and its name."""
    _watching.append(watch)
    try:
        yield
    finally:
        _watching.pop()


def check_tap(name: object, layers: Collection[str], value: object, expected: str, *, fits: bool) -> None:
    """Nothing, where a tap can be told from all else: its name from those of `layers`, its value from what is not seen.

    Raises:
        NotCheckable: it cannot; `expected` says what would have been a value that `fits`.
    """
    if not isinstance(name, str) or not name or "#" in name:
        raise NotCheckable(f"a tap is called {name!r}: expected a name without #, as in tap(x, 'attention.scores')")
    if name in layers:
        raise NotCheckable(f"the tap {name!r} has the name of a layer: call it otherwise, such as '{name}.inside'")
    if not fits:
        dtype = getattr(value, "dtype", None)
        found = f"{type(value).__name__} of {dtype}" if dtype is not None else type(value).__name__
        raise NotCheckable(f"the tap {name!r} was given a {found}: expected {expected}")
