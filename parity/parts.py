"""The parts of a side, imported when first used; whatever they raise names the side and the part."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property, wraps
from typing import Any

import numpy as np

from parity.errors import NotCheckable
from parity.pair import Side, resolve
from parity.recording import Array, Batch, Framework


@contextmanager
def blame(framework: Framework, part: str) -> Iterator[None]:
    """Turn what a side's own code raises into one line that names the side and the part."""
    try:
        yield
    except NotCheckable:
        raise
    except Exception as error:
        message = str(error).strip().splitlines() or [""]
        raise NotCheckable(f"the {framework} side's {part} failed: {type(error).__name__}: {message[0]}") from error


def watched(framework: Framework, label: str, function: Callable[..., Any]) -> Callable[..., Any]:
    """The function, with `blame` watching over every call."""

    @wraps(function)
    def call(*arguments: Any, **named: Any) -> Any:
        with blame(framework, label):
            return function(*arguments, **named)

    return call


def checked_batch(framework: Framework, part: str, batch: Any) -> Batch:
    """A batch as the engine takes it: a dict of its own, of NumPy arrays of floating, whole or true-or-false numbers.

    Raises:
        NotCheckable: it is anything else.
    """
    if not isinstance(batch, dict):
        raise NotCheckable(f"the {framework} side's {part} gave a {type(batch).__name__}: expected a dict of arrays")
    for name, array in batch.items():
        if not isinstance(array, np.ndarray) or array.dtype.kind not in "fiub":
            kind = array.dtype if isinstance(array, np.ndarray) else type(array).__name__
            raise NotCheckable(
                f"the {framework} side's {part} gave {name} as {kind}: expected a NumPy array of numbers"
            )
    return dict(batch)


class Batches(Sequence[Batch]):
    """The batches of all steps as a side draws them, each looked at when it is asked for."""

    def __init__(self, framework: Framework, drawn: Any, steps: int) -> None:
        with blame(framework, "batches"):
            if len(drawn) < steps:
                raise NotCheckable(
                    f"the {framework} side's batches are {len(drawn)}: expected one for each of {steps} steps"
                )
        self._framework, self._drawn = framework, drawn

    def __len__(self) -> int:
        return len(self._drawn)

    def __getitem__(self, step: Any) -> Any:
        if isinstance(step, slice):
            return [self[index] for index in range(*step.indices(len(self)))]
        if not 0 <= step < len(self):
            raise IndexError(step)
        with blame(self._framework, "batches"):
            batch = self._drawn[step]
        return checked_batch(self._framework, "batches", batch)


class Parts:
    """The imported parts of one side, each a function that `blame` watches over."""

    def __init__(self, side: Side, framework: Framework) -> None:
        self.side = side
        self.framework = framework

    def _part(self, name: str) -> Callable[..., Any]:
        path = getattr(self.side, name)
        if path is None:
            raise NotCheckable(f"the {self.framework} side names no {name}")
        function = resolve(path, self.framework)
        label = f"{name} ({path})" if isinstance(path, str) else name

        return watched(self.framework, label, function)

    def batches_of(self, seed: int, steps: int) -> Batches:
        """The batches of all steps."""
        return Batches(self.framework, self.batches(seed, steps), steps)

    def scored_of(self, seed: int) -> dict[str, Batch]:
        """The scored batches by name."""
        return {name: checked_batch(self.framework, "scored", batch) for name, batch in self.scored(seed).items()}

    def model_of(self, parameters: dict[str, Array], dtype: str, device: str) -> Any:
        """A model that shares no memory with the arrays: training in place must not reach a recording."""
        return self.model({name: array.copy() for name, array in parameters.items()}, dtype, device)

    def run_of(self, loop: str, count: int, **settings: Any) -> tuple[Array, dict[str, Array], dict[str, Array]]:
        """Losses, parameters and optimizer state of one of the side's own loops."""
        found = self.train(loop, count=count, **settings)
        with blame(self.framework, f"loop {loop}"):
            losses, (parameters, optimizer) = found
            losses = np.asarray(losses)
            if losses.ndim == 0:
                raise ValueError(f"losses have shape {losses.shape}: expected ({count},)")
        return losses, parameters, optimizer

    def why_not(self, loop: str, device: str) -> str:
        """Why a loop cannot run on this machine; empty where it can, or where the side names no such part."""
        return str(self.missing(loop, device) or "") if self.side.missing else ""

    parameters = cached_property(lambda self: self._part("parameters"))
    model = cached_property(lambda self: self._part("model"))
    arrays = cached_property(lambda self: self._part("arrays"))
    batches = cached_property(lambda self: self._part("batches"))
    predict = cached_property(lambda self: self._part("predict"))
    loss = cached_property(lambda self: self._part("loss"))
    scored = cached_property(lambda self: self._part("scored"))
    optimizer = cached_property(lambda self: self._part("optimizer"))
    update = cached_property(lambda self: self._part("update"))
    train = cached_property(lambda self: self._part("train"))
    missing = cached_property(lambda self: self._part("missing"))
    scores = cached_property(lambda self: self._part("scores"))
