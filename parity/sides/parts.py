"""The parts of a side, imported when first used; whatever they raise names the side and the part."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import fields
from functools import cached_property, partial
from typing import Any

import numpy as np

from parity.arrays.draws import STREAM, stream
from parity.arrays.tree import leaves
from parity.errors import REAL_ONLY, MissingFramework, NotCheckable
from parity.pair.frozen import frozen_of
from parity.pair.importing import resolve
from parity.pair.optimizers import STEP, Optimizer
from parity.pair.pair import Side
from parity.pair.tied import under_first_names
from parity.recording import Array, Arrays, Batch, Dtype, Framework
from parity.sides.blame import blame, watched
from parity.weight_map.find import find
from parity.weight_map.given import fitting
from parity.weight_map.outline import Outline, outline_of_arrays
from parity.weight_map.weight_map import WeightMap


@contextmanager
def _asks_torch(purpose: str) -> Iterator[None]:
    """Say what of torch's is needed and for what, where importing it shows that it is not installed."""
    try:
        yield
    except ModuleNotFoundError as error:
        raise MissingFramework(
            f"the torch side's model has to {purpose}, and {error.name} is not installed: "
            "install it, or check against a recording"
        ) from error


def _checked_batch(framework: Framework, part: str, batch: Any) -> Batch:
    """A batch as the engine takes it: flat, its own dict, of NumPy arrays of floating, whole or true-or-false numbers.

    Raises:
        NotCheckable: it is anything else.
    """
    if not isinstance(batch, dict):
        raise NotCheckable(f"the {framework} side's {part} gave a {type(batch).__name__}: expected a dict of arrays")
    with blame(framework, part):
        flat = dict(leaves(batch))
    for name, array in flat.items():
        if not isinstance(array, np.ndarray) or array.dtype.kind not in "fiub":
            kind = array.dtype if isinstance(array, np.ndarray) else type(array).__name__
            raise NotCheckable(
                f"the {framework} side's {part} gave {name} as {kind}: expected a NumPy array of numbers"
            )
    return flat


class _Batches(Sequence[Batch]):
    """The batches of all steps as a side draws them, each looked at when it is asked for.

    With a `seed` every batch carries the stream of its step.

    Raises:
        NotCheckable: there are fewer than `steps`; or, when it is asked for, a batch is no dict of arrays.
    """

    def __init__(self, framework: Framework, drawn: Any, steps: int, seed: int | None = None) -> None:
        with blame(framework, "batches"):
            if len(drawn) < steps:
                raise NotCheckable(
                    f"the {framework} side's batches are {len(drawn)}: expected one for each of {steps} steps"
                )
        self._framework, self._drawn, self._seed = framework, drawn, seed

    def __len__(self) -> int:
        return len(self._drawn)

    def __getitem__(self, step: Any) -> Any:
        if isinstance(step, slice):
            return [self[index] for index in range(*step.indices(len(self)))]
        if not 0 <= step < len(self):
            raise IndexError(step)
        with blame(self._framework, "batches"):
            batch = _checked_batch(self._framework, "batches", self._drawn[step])
        return batch if self._seed is None else batch | {STREAM: stream(self._seed, step)}


class Parts:
    """The imported parts of one side, each a function that `blame` watches over; in a run of `dtype`, if in one."""

    def __init__(self, side: Side, framework: Framework, dtype: Dtype | None = None) -> None:
        self.side = side
        self.framework = framework
        self._dtype = dtype

    def _part(self, name: str) -> Callable[..., Any]:
        path = getattr(self.side, name)
        if path is None:
            raise NotCheckable(f"the {self.framework} side names no {name}")
        return watched(self.framework, self._label(name), resolve(path, self.framework), self._dtype)

    def import_all(self) -> None:
        """Import what the parts are in. What does not import is told where it is asked for."""
        for part in fields(self.side):
            if isinstance(path := getattr(self.side, part.name), str):
                with suppress(NotCheckable):
                    resolve(path, self.framework)

    def _label(self, name: str) -> str:
        path = getattr(self.side, name)
        return f"{name} ({path})" if isinstance(path, str) else name

    def made(self, **given: Any) -> Any:
        """The model that the part `model` makes from nothing but what is `given`.

        Raises:
            NotCheckable: it takes further arguments, or fails.
        """
        try:
            self.model_takes.bind(**given)
        except TypeError as error:
            rngs = "rngs" if self.framework == "jax" else ""
            raise NotCheckable(
                f"the {self.framework} side's {self._label('model')} cannot be made: {error}: name a function that "
                f"takes nothing{' but rngs' if rngs else ''} and makes it, such as def net({rngs}): return Net(...)"
            ) from error
        return self.model(**given)

    @property
    def model_takes(self) -> inspect.Signature:
        """What the part `model` takes. A Flax class is called through its metaclass, which takes anything."""
        factory: Any = inspect.unwrap(self.model)
        given: tuple[Any, ...] = ()
        named: dict[str, Any] = {}
        if isinstance(factory, partial):
            factory, given, named = factory.func, factory.args, factory.keywords
        made_by = partial(factory.__init__, None) if inspect.isclass(factory) else factory
        return inspect.signature(partial(made_by, *given, **named))

    @property
    def calling(self) -> Callable[..., Any]:
        """The part that calls the model: the loss, or where there is none `predict`."""
        part: Callable[..., Any] = self.loss if self.side.loss is not None else self.predict
        return part

    def batches_of(self, seed: int, steps: int) -> Sequence[Batch]:
        """The batches of all steps."""
        return _Batches(self.framework, self.batches(seed, steps), steps, seed if self.side.tie.streams else None)

    def initial(self, seed: int) -> Arrays:
        """The initial parameters: those of the part, or what the torch side's module draws from the seed.

        Raises:
            MissingFramework: torch would draw them and is not installed.
            NotCheckable: one is complex, or tied to another that holds other numbers.
        """
        if self.side.parameters is not None:
            drawn: Arrays = self.parameters(seed)
            if self.side.arrays is None and self._torch.side.arrays is None:
                drawn = under_first_names(drawn, self.torch_outline.tied)
        else:
            with _asks_torch("draw the initial parameters"):
                from parity.torch_side import models
            drawn = models.drawn(self._torch, seed)
        if found := [name for name, array in drawn.items() if np.iscomplexobj(array)]:
            raise NotCheckable(f"the {self.framework} side's parameters gave {found[0]}, which is complex: {REAL_ONLY}")
        return drawn

    @cached_property
    def torch_outline(self) -> Outline:
        """What the torch side's model is made of, whichever side this is.

        Raises:
            MissingFramework: torch is not installed.
        """
        if self.side.tie.outline is not None:
            return self.side.tie.outline
        if self._torch.side.arrays is not None:
            return outline_of_arrays("torch", self.initial(0))
        with _asks_torch("tell the names and shapes of its parameters"):
            from parity.torch_side import models, outline
        module = models.module_of(self._torch, "float32")
        # Where nothing is trained, nothing tells them from other parameters.
        still = outline.still(module, self.side.tie.frozen) if self.side.tie.training else ()
        return outline.outline(module, still)

    @cached_property
    def frozen(self) -> frozenset[str]:
        """The parameters that the pair declares frozen, by torch's names.

        Raises:
            NotCheckable: a pattern means no parameter, or together they mean all.
        """
        patterns = self.side.tie.frozen
        return frozen_of(patterns, self.torch_outline) if patterns else frozenset()

    @cached_property
    def torch_optimizer(self) -> Optimizer | None:
        """What the torch side's optimizer is, whichever side this is; None where that names none.

        Raises:
            MissingFramework: torch is not installed.
            NotCheckable: it has no exact translation.
        """
        if self.side.tie.optimizer is not None:
            return self.side.tie.optimizer
        if self._torch.side.optimizer is None:
            return None
        try:
            from parity.torch_side.described import optimizer_of
        except ModuleNotFoundError as error:
            raise MissingFramework(
                f"the jax side names no optimizer and takes torch's, and {error.name} is not installed: install it, "
                "check against a recording, or name one on the jax side"
            ) from error
        return optimizer_of(self._torch)

    @cached_property
    def torch_entries(self) -> frozenset[str]:
        """What the torch side's optimizer remembers, by entry; nothing where that cannot be told.

        Nor where this side takes its translation, which knows that by itself: a model need not be built for it again.
        A count of steps is among them only where no scheduler depends on it.
        """
        tie = self.side.tie
        translated = self.side.optimizer is None and self.side.update is None
        if translated or tie.torch is None or tie.torch.optimizer is None:
            return frozenset()
        found = tie.entries
        if found is None:
            try:
                from parity.torch_side.described import entries_of

                found = entries_of(self._torch)
            except (ModuleNotFoundError, NotCheckable):
                found = frozenset()
        return found if tie.torch.scheduler is None else found - {STEP}

    def torch_dropouts(self, batch: Batch) -> Mapping[str, Sequence[tuple[int, ...]]]:
        """The shapes of the masks that torch's side draws in each pass about such a batch; nothing where none can tell.

        By `parity.arrays.draws.pass_name`.
        """
        if self.side.tie.dropouts is not None or self.side.tie.torch is None:
            return self.side.tie.dropouts or {}
        try:
            from parity.torch_side.live import TorchSide

            live = TorchSide(self.side.tie.torch, "float64", "cpu")
            return live.dropouts(live.initial(0), batch)
        except (ModuleNotFoundError, NotCheckable):
            return {}

    def weight_map(self, outline: Outline) -> WeightMap:
        """The map between the torch side's model and one of this outline: found, unless the pair gives it."""
        told = self.side.tie.told
        if isinstance(told, WeightMap):
            return fitting(told, self.torch_outline, outline)
        return find(self.torch_outline, outline, told)

    @property
    def _torch(self) -> Parts:
        torch = self.side.tie.torch
        return self if torch is None or self.framework == "torch" else Parts(torch, "torch")

    def scored_of(self, seed: int) -> dict[str, Batch]:
        """The scored batches by name."""
        return {name: _checked_batch(self.framework, "scored", batch) for name, batch in self.scored(seed).items()}

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
    scheduler = cached_property(lambda self: self._part("scheduler"))
    clip = cached_property(lambda self: self._part("clip"))
    update = cached_property(lambda self: self._part("update"))
    train = cached_property(lambda self: self._part("train"))
    missing = cached_property(lambda self: self._part("missing"))
    scores = cached_property(lambda self: self._part("scores"))
