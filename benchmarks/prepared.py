"""What a variant gives to the clock, and what it gives back to be checked. NumPy only."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from parity.recording import Array, State


class Outcome(NamedTuple):
    """What one seed's run came to: the loss of every step, before the step, and the state after the last."""

    losses: Array
    state: State


def losses_of(done: Any) -> Any:
    """The part of what a variant's `run` returned that holds the losses."""
    return done[-1] if isinstance(done, (tuple, list)) and done else done


class Prepared(NamedTuple):
    """A variant that has compiled, captured and loaded what it needs once, ready to run again and again.

    Attributes:
        place: the start state on the device, anew for every run; not timed.
        run: all steps, from what `place` gave; returns what lies on the device, finished or not: the losses, or a tuple
            whose last part they are. Timed.
        read: the outcome of every seed, in NumPy, from what `run` returned; not timed.
    """

    place: Callable[[], Any]
    run: Callable[[Any], Any]
    read: Callable[[Any], Sequence[Outcome]]
