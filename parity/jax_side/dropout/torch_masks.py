"""Which of torch's masks a JAX side is handed where it draws them in loops or inside of `jax.vmap`."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import wraps
from typing import Any

from parity.arrays.draws import pass_name
from parity.jax_side.dropout.keys import Keys
from parity.jax_side.dropout.masks import Masks
from parity.jax_side.dropout.matching import Told, nested, ways
from parity.jax_side.layers import trace
from parity.recording import Batch
from parity.sides.parts import Parts
from parity.weight_map.outline import Shape

MOST = 6
"""So many shapes are told."""
UNLIKE = (
    "the jax side's dropouts, in a loop or a function that is transformed, do not draw masks of the number and shapes "
    "of torch's, {}: hand each example, block or expert a key of its own, and go through the examples by one jax.vmap "
    "or jax.lax.map over the whole batch, through experts as torch does, one after another or all at once"
)
EITHER = (
    "the jax side's dropouts, in loops or jax.vmap, fit the masks of torch's, {}, in more than one way, and one of "
    "them was taken: if that is the wrong one, have another number of examples than of blocks, and let torch call one "
    "expert after another"
)


class Again(Exception):  # noqa: N818 -- no error: the pass is traced again
    """Now it is known which masks a pass is handed, and they are others than those with which it was traced."""


class Handed:
    """Which masks the passes of a side are handed, told by those that torch's side draws.

    Attributes:
        keys: those of the side's dropouts.
        doubts: what could not be told, a line each.
    """

    def __init__(self, parts: Parts) -> None:
        self.keys = Keys()
        self.doubts: list[str] = []
        self._parts = parts
        self._known: dict[str, Told] = {}
        self._torch: dict[str, Sequence[Shape]] = {}

    @contextmanager
    def to(self, masks: Masks | None, batch: Batch, part: Callable[..., Any]) -> Iterator[None]:
        """A part is asked meanwhile, about a batch of these shapes.

        Raises:
            Again: it has to be asked again.
        """
        if masks is None:
            yield
            return
        name = "predict" if self._parts.side.predict is not None and part is self._parts.predict else "loss"
        asked = pass_name(name, batch)
        masks.told = self._known.get(asked, Told())
        yield
        if asked in self._known or not nested(masks.called, trace()):
            return
        self._known[asked] = told = self._told(masks, asked, batch)
        if told != Told():
            raise Again

    def _told(self, masks: Masks, asked: str, batch: Batch) -> Told:
        if asked not in self._torch:
            self._torch |= self._parts.torch_dropouts(batch)
        if (torch := self._torch.get(asked)) is None:
            return Told()
        found = ways(masks.called, torch)
        shapes = [str(tuple(shape)) for shape in torch]
        what = (
            ", ".join([*shapes[:MOST], *([f"... ({len(shapes)})"] if len(shapes) > MOST else [])]) or "which draws none"
        )
        doubt = "" if len(found) == 1 else (EITHER if found else UNLIKE).format(what)
        self.doubts += [doubt] if doubt and doubt not in self.doubts else []
        return found[0] if found else Told()


def settled(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function, called until it is known which masks each of its passes is handed."""

    @wraps(function)
    def call(*given: Any, **named: Any) -> Any:
        while True:
            try:
                return function(*given, **named)
            except Again:
                continue

    return call
