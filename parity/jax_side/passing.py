"""One call of a JAX side's own code."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any, NamedTuple

import jax

from parity.errors import NotCheckable
from parity.jax_side.layers import Layers
from parity.jax_side.stacks.turns import Turns, opened

MODE = "train"
"""The argument that tells a part the mode, where its signature has it: not every model has a mode of its own."""


def no_turns(part: Callable[..., Any]) -> None:
    """Of a pass whose loops stay as they are."""


class Pass(NamedTuple):
    """The model and the batch as the side's own code takes them, the layers that are watched, and the mode.

    `turns` are those of the loops in a part, where they are to be taken one by one; `handed` hands it its masks.
    """

    model: Any
    batch: dict[str, Any]
    layers: Layers
    training: bool
    turns: Callable[[Callable[..., Any]], Turns | None]
    handed: Callable[[Callable[..., Any]], AbstractContextManager[object]]

    def ask(self, part: Callable[..., Any]) -> Any:
        """What a part, `loss` or `predict`, gives."""
        with self.layers.set_aside():
            turns = self.turns(part)
        self.layers.turns = turns
        with self.handed(part), opened(self.layers):
            return asked(part, self.model, self.batch, training=self.training)

    def loss_of(self, loss: Callable[..., Any]) -> Any:
        """What the part `loss` gives.

        Raises:
            NotCheckable: it is no single number.
        """
        found = self.ask(loss)
        if isinstance(found, float) or getattr(found, "shape", None) == ():
            return found
        what = f"an array of shape {found.shape}" if hasattr(found, "shape") else f"a {type(found).__name__}"
        raise NotCheckable(f"the jax side's loss gave {what}: expected a single number, and nothing beside it")


def asked(part: Callable[..., Any], model: Any, batch: dict[str, Any], *, training: bool) -> Any:
    """What a part gives, told the mode if it wants to know."""
    named = {MODE: training} if MODE in inspect.signature(part).parameters else {}
    return part(model, batch, **named)


class Passed(NamedTuple):
    """One traced pass: loss, gradients built like the parameters, buffers after it, which parameters are set anew."""

    loss: jax.Array
    gradients: Any
    kept: Any
    moved: dict[str, jax.Array] = {}  # noqa: RUF012 -- nobody adds to it
