"""The steps that the JAX side took, as flat arrays: one for each group of torch's optimizer."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cache, cached_property
from typing import Any, NamedTuple, Protocol

import numpy as np

from parity.pair.optimizers import ADDED, PRODUCT, STEP, Clip, Group, Optimizer, Options
from parity.recording import GRADIENT, Arrays, Recording
from parity.sides.runs import gradients_of

MOST = 2**14
"""So many numbers, evenly spread, stand for all of them where there are more."""
ENTRIES = (
    "momentum_buffer", "exp_avg", "exp_avg_sq", "max_exp_avg_sq", "square_avg", "grad_avg", "sum", "exp_inf",
    "acc_delta", "prev", "step_size", PRODUCT,
)  # fmt: skip
"""Everything that an optimizer of torch remembers of a parameter."""
LONGEST = 30
"""An optimizer whose memory is not recorded takes at most so many steps again."""


class Form(Protocol):
    """An optimizer of Optax that is taken for torch's."""

    @property
    def words(self) -> str:
        """What is otherwise in it."""


class Optax(Protocol):
    """What is asked of `parity.jax_side.optimizer.steps`."""

    def step(self, optimizer: Optimizer, parameters: Arrays, gradients: Arrays) -> tuple[Arrays, Arrays]:
        """The parameters after a step of torch's optimizer, and what it remembers then."""

    def rate(self, optimizer: Optimizer, options: Options, count: int) -> float:
        """The learning rate after so many steps."""

    def forms(self, kind: str, options: Options) -> Iterable[Any]:
        """The forms of Optax that are taken for an optimizer of this kind."""

    def steps(
        self, form: Any, optimizer: Optimizer, parameters: Sequence[Arrays], gradients: Sequence[Arrays]
    ) -> Arrays:
        """The parameters after the last of the steps that a form takes."""


class Guess(NamedTuple):
    """An optimizer that may be the JAX side's, and what it adds to a norm that it clips by."""

    optimizer: Optimizer
    added: float = ADDED


@dataclass(frozen=True)
class Ran:
    """What the JAX side did.

    Attributes:
        read: torch's optimizer.
        jax: the JAX side's recording.
        torch: the torch side's.
        begins: the recording whose states and gradients the JAX side's steps began from: its own, in lockstep torch's.
        same: the step up to whose beginning both sides are the same.
        optax: takes steps.
    """

    read: Optimizer
    jax: Recording
    torch: Recording
    begins: Recording
    same: int
    optax: Optax

    @cached_property
    def names(self) -> list[list[str]]:
        """The parameters of each group that both sides moved."""
        held = self.begins.of("trajectory", 0).keys() & self.jax.of("trajectory", 0)
        return [
            [name for name in group.parameters if {name, f"{GRADIENT}{name}"} <= held] for group in self.read.groups
        ]

    @cached_property
    def every(self) -> int:
        """Every so-many-th number is taken."""
        sizes = [self.begins.of("init", 0)[name].size for names in self.names for name in names]
        return max(1, -(-sum(sizes) // MOST))

    @cached_property
    def right(self) -> Guess:
        """Torch's own optimizer over the flat arrays."""
        start = self.flat(self.begins.of("init", 0))
        groups = tuple(Group((str(index),), group.options) for index, group in enumerate(self.read.groups))
        return Guess(
            replace(self.read, groups=groups, shapes={name: array.shape for name, array in start.items()}, state={})
        )

    def flat(self, arrays: Arrays, prefix: str = "", *, every: int | None = None) -> Arrays:
        """An array for each group, by its number; a group of which anything is missing is left out."""
        found = {}
        for index, names in enumerate(self.names):
            if all(f"{prefix}{name}" in arrays for name in names):
                parts = [arrays[f"{prefix}{name}"].astype(np.float64).ravel() for name in names]
                found[str(index)] = np.concatenate([*parts, np.zeros(0)])[:: every or self.every]
        return found

    def gradients(self, step: int, clip: Clip | None, added: float = ADDED) -> Arrays:
        """The gradients of a step, clipped."""
        share, bound = 1.0, np.inf
        if clip is not None and clip.by == "norm":
            share = min(clip.bound / (self.norm(step, clip.order) + added), 1.0)
        elif clip is not None:
            bound = clip.bound
        slopes = self.slopes(step)
        return {name: np.clip(share * array, -bound, bound) for name, array in slopes.items()}

    # Each is asked for over and over, and a large model takes long to lay flat.

    @cached_property
    def slopes(self) -> Callable[[int], Arrays]:
        """The gradients of a step as they are."""
        return cache(lambda step: self.flat(gradients_of(self.begins, step)))

    @cached_property
    def before(self) -> Callable[[int], Arrays]:
        """The parameters before a step."""
        return cache(lambda step: self.flat(self.begins.state_before(step).parameters))

    @cached_property
    def norm(self) -> Callable[[int, float], float]:
        """The norm, of a step and an order, of all gradients together."""

        def norm(step: int, order: float) -> float:
            whole = self.flat(gradients_of(self.begins, step), every=1)
            return float(np.linalg.norm(np.concatenate([*whole.values(), np.zeros(0)]), order))

        return cache(norm)

    def after(self, step: int) -> Arrays:
        """What the JAX side has after a step: `<group>`, and `<entry>.<group>` of what it remembers as torch does."""
        found = self.jax.of("trajectory", step)
        arrays = self.flat(found)
        for entry in ENTRIES:
            arrays |= {f"{entry}.{name}": array for name, array in self.flat(found, f"{entry}.").items()}
        return arrays

    def in_form(self, form: Form, step: int) -> Arrays:
        """The parameters after that step of a form of Optax, which begins with the first."""
        every = range(step + 1)
        gradients = [self.gradients(number, self.read.clip) for number in every]
        parameters = [self.before(number) for number in every]
        return self.optax.steps(form, replace(self.right.optimizer, clip=None), parameters, gradients)

    def recorded(self, optimizer: Optimizer, step: int) -> bool:
        """Whether what this optimizer remembers before a step is recorded."""
        return self._memory(optimizer, step) is not None

    def modelled(self, guess: Guess, step: int) -> Arrays:
        """What an optimizer would have after that step, named alike; nothing where its formula has no result."""
        try:
            after, memory = self._taken(guess, step, self._memory(guess.optimizer, step))
        except ArithmeticError:
            return {}
        return after | {name: array for name, array in memory.items() if name != STEP}

    def _taken(self, guess: Guess, step: int, memory: Arrays | None) -> tuple[Arrays, Arrays]:
        if memory is None:
            memory = {} if step == 0 else self._taken(guess, step - 1, self._memory(guess.optimizer, step - 1))[1]
        optimizer = replace(guess.optimizer, clip=None, state=memory | ({STEP: np.asarray(step)} if step else {}))
        gradients = self.gradients(step, guess.optimizer.clip, guess.added)
        return self.optax.step(optimizer, self.before(step), gradients)

    @cached_property
    def _held(self) -> Callable[[str, str, int], Arrays]:
        """An entry of what a recording, `begins` or `torch`, remembers before a step."""

        def held(source: str, entry: str, step: int) -> Arrays:
            arrays = getattr(self, source).state_before(step).optimizer
            return {f"{entry}.{name}": array for name, array in self.flat(arrays, f"{entry}.").items()}

        return cache(held)

    def _memory(self, optimizer: Optimizer, step: int) -> Arrays | None:
        """What an optimizer remembers before a step, where it is recorded."""
        if step == 0:
            return {}
        found: Arrays = {}
        for entry in optimizer.entries:
            for source in ("begins", *(("torch",) if step <= self.same else ())):
                found = self._held(source, entry, step) | found
        return found if optimizer.remembered(found).keys() == _wanted(optimizer) else None


def _wanted(optimizer: Optimizer) -> set[str]:
    every = {f"{entry}.{name}": np.zeros(0) for entry in optimizer.entries for name in optimizer.shapes}
    return set(optimizer.remembered(every))
