"""Whether dropouts were called with keys that are equal or otherwise as torch calls none, told as a pass runs."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from functools import wraps
from typing import Any

import jax

from parity.errors import NotCheckable
from parity.jax_side.dropout.matching import Path, exclusive
from parity.recording import Array

_Known = dict[bytes, tuple[Path, tuple[int, ...]]]


class Keys:
    """The keys of the dropouts of a side, each as it is drawn by.

    Attributes:
        asked: whether a program calls a dropout.
        equal: whether two dropouts of one pass, two turns of a loop or two examples had keys that are equal.
        unlike: whether a dropout inside of `jax.vmap` had other rates for some, or was called after more for some.
    """

    def __init__(self) -> None:
        self.asked = self.equal = self.unlike = False
        self._seen = defaultdict[object, _Known](dict)

    def see(self, traced: object, path: Path, place: tuple[int, ...], rows: Array) -> None:
        """A dropout at `path` of the pass `traced`, with a key in each row. What is at one place is drawn once."""
        known = self._seen[traced]
        for index, row in enumerate(rows):
            own = path, (*place, index)
            other = known.setdefault(row.tobytes(), own)
            self.equal |= other[1] != own[1] and not exclusive(path, other[0])

    def watched(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """The function, after every call of which it is told how its dropouts were called.

        Raises:
            NotCheckable: with equal keys, so that the port would leave out the same more than once; or each that is
                mapped over in a way of its own.
        """

        @wraps(function)
        def call(*given: Any, **named: Any) -> Any:
            # Of another call the same may be at another place, as where it takes another branch.
            self._seen.clear()
            found = function(*given, **named)
            if self.asked:
                jax.block_until_ready(found)  # type: ignore[no-untyped-call]
            if self.unlike:
                raise NotCheckable(
                    "inside jax.vmap the jax side calls a dropout whose rate is another one for each that is mapped "
                    "over, or before which not each calls as many: go through them in a Python loop or a jax.lax.scan"
                )
            if self.equal:
                raise NotCheckable(
                    "the jax side calls dropouts, or one in several turns or examples, with keys that are equal, so "
                    "that each leaves out the same: divide them, as by jax.random.split, or by nnx.split_rngs where a "
                    "stack is made"
                )
            return found

        return call
