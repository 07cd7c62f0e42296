"""What the engine asks of a JAX side's model, whatever kind it is."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Any, NamedTuple, Protocol

import jax

from parity.jax_side.layers import Layers
from parity.jax_side.stacks.stacked import Stacked
from parity.recording import Arrays
from parity.weight_map.weight_map import WeightMap


class Held(NamedTuple):
    """A model between two calls, a pytree: what is differentiated by, and what else it keeps, its buffers."""

    trained: Any
    kept: Any


class Models(Protocol):
    """Holds the models of a side as pytrees, and reads them back as canonical arrays."""

    @property
    def map(self) -> WeightMap | None:
        """Between torch's names and layout and the model's; None where the side's own parts read it."""

    @property
    def stacked(self) -> Stacked | None:
        """The layers that stand several in one module, if there are any."""

    @property
    def unmatched(self) -> frozenset[str]:
        """Layers of the torch side that no layer of this side stands for."""

    @property
    def apart(self) -> frozenset[str]:
        """Arrays that the torch side holds and this side does not."""

    @property
    def remarks(self) -> list[str]:
        """What the weight map took for granted, and what this side holds alone and whether a call changed it."""

    def held(self, arrays: Arrays) -> Held:
        """A model of its own memory that holds these arrays."""

    def trained_arrays(self, trained: Any) -> Arrays:
        """What is differentiated by, or anything that is built like it: gradients, moments."""

    def kept_arrays(self, kept: Any) -> Arrays:
        """The buffers."""

    def trained_from(self, arrays: Arrays) -> Any:
        """The way back from `trained_arrays`."""

    def bound(self, held: Held, *, training: bool) -> Any:
        """The model as the side's own code takes it, in training or in evaluation mode if it has a mode itself."""

    def kept_after(self, model: Any) -> Any:
        """The buffers of a model that was called."""

    @property
    def changed(self) -> list[str]:
        """Of the arrays that this side alone holds those that a call has changed."""

    def ended(self, held: Held) -> Held | None:
        """The model with those as a call left them; None where there are none."""

    def moved(self, model: Any, trained: Any) -> dict[str, jax.Array]:
        """Of each parameter that the call has set anew, and that stays so, whether it is another one."""

    def watched(
        self, model: Any, bits: int | None, probes: dict[str, jax.Array] | None,
        taught: dict[str, jax.Array] | None, *, layers: bool,
    ) -> AbstractContextManager[Layers]:  # fmt: skip
        """Watch what the model gives and, with `layers`, its layers, each under the name of its torch counterpart."""
