"""A JAX side that runs: `parity.sides.live.LiveSide` with `jax.grad`, `jax.jit` and Optax."""

from __future__ import annotations

import platform
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from parity.arrays.draws import STREAM
from parity.arrays.rounding import cast
from parity.arrays.tree import nested
from parity.errors import NotCheckable
from parity.jax_side.dropout.drawing import compiled
from parity.jax_side.dropout.masks import injected
from parity.jax_side.dropout.torch_masks import Handed, settled
from parity.jax_side.layers import shown
from parity.jax_side.leaves import to_numpy
from parity.jax_side.lowering import lowered_before
from parity.jax_side.models.alone import rests_on
from parity.jax_side.models.kinds import models_of
from parity.jax_side.models.moved import refuse
from parity.jax_side.models.protocol import Held
from parity.jax_side.on_device import OnDevice
from parity.jax_side.optimizer.state import completed, made_transformation, state_in, state_out, with_count
from parity.jax_side.optimizer.translated import translation
from parity.jax_side.outputs import arrays_of
from parity.jax_side.passing import Pass, Passed, no_turns
from parity.jax_side.settings import computing, import_parts, versions
from parity.jax_side.stacks.turns import Calls
from parity.pair.optimizers import STEP, Optimizer
from parity.pair.pair import Side
from parity.pair.tap import tapped
from parity.recording import Array, Arrays, Batch, Device, Dtype, Framework, Provenance, State
from parity.sides.blame import watched
from parity.sides.live import Gradients, Observation, Step
from parity.sides.parts import Parts
from parity.weight_map.outline import Outline
from parity.weight_map.weight_map import WeightMap

InOrder = OrderedDict[str, jax.Array]


class JaxSide:
    """The JAX half of a pair in one dtype on one device. Each of its functions is compiled once."""

    framework: Framework = "jax"
    idle: frozenset[str] = frozenset()

    def __init__(self, side: Side, dtype: Dtype, device: Device) -> None:
        self.dtype, self.device, self.loops = dtype, device, side.loops
        try:
            self._jax_device = jax.devices("cpu" if device == "cpu" else "gpu")[0]
        except RuntimeError as error:
            raise NotCheckable(f"JAX sees no {device}: use --device cpu, or pip install 'jax[cuda13]'") from error
        self._parts, self._side = Parts(side, self.framework, dtype), side
        self.drew, self.changed, self.alone = False, "", ""
        import_parts(self._parts, dtype, self._jax_device)
        with self._settings():
            self._models = models_of(self._parts, dtype, device)
            self._transformation = None if side.optimizer is None else made_transformation(self._parts)
        self._hidden: set[str] = set()
        self._calls = Calls(self._models, self._pass)
        self._handed = Handed(self._parts)
        self.doubts = self._handed.doubts
        self._device_batch = OnDevice(dtype)
        self._translated: Optimizer | None = None
        self._fresh = self._compiled("optimizer", self._begin)
        self._seen_forward = self._compiled("predict", self._forward, "bits")
        self._forced = self._compiled("loss", self._taught)
        self._observed = self._compiled("loss or its gradient", self._observe, "bits")
        self._differentiated = self._compiled("loss or its gradient", self._differentiate, "bits")
        self._applied = self._compiled("update", self._apply)
        self._predicted = self._compiled("predict", self._predict)

    def _compiled(self, label: str, function: Callable[..., Any], *static: str) -> Callable[..., Any]:
        fast = self._handed.keys.watched(compiled(function, self._draws, static))
        return watched(self.framework, label, fast, self.dtype)

    def _draws(self) -> None:
        self.drew = True

    def _settings(self) -> AbstractContextManager[None]:
        return computing(self.dtype, self._jax_device, self._changes)

    def _changes(self, setting: str) -> None:
        self.changed = self.changed or setting

    def provenance(self) -> Provenance:
        with self._settings():
            return Provenance(
                framework=self.framework,
                versions=versions(),
                device=self.device,
                device_name=self._jax_device.device_kind if self.device == "gpu" else platform.machine(),
                dtype=self.dtype,
                precision={"highest": "float32"}.get(str(jax.config.values["jax_default_matmul_precision"]), "tf32"),
                x64=bool(jax.config.values["jax_enable_x64"]),
            )

    @property
    def weight_map(self) -> WeightMap | None:
        return self._models.map

    @property
    def outline(self) -> Outline | None:
        return None if self._side.arrays else self._parts.torch_outline

    @property
    def unmatched(self) -> frozenset[str]:
        return self._models.unmatched | self._hidden

    @property
    def remarks(self) -> list[str]:
        return self._models.remarks

    @property
    def frozen(self) -> frozenset[str]:
        return self._parts.frozen

    @property
    def apart(self) -> frozenset[str]:
        return self._models.apart

    def initial(self, seed: int) -> Arrays:
        with self._settings():
            return self._arrays(self._models.held(cast(self._parts.initial(seed), self.dtype)))

    def batches(self, seed: int, steps: int) -> Sequence[Batch]:
        return self._parts.batches_of(seed, steps)

    def seen(self, batch: Batch) -> Batch:
        with self._settings():
            return {name: to_numpy(array) for name, array in self._device_batch(batch).items()}

    def forward(self, parameters: Arrays, batch: Batch, bits: int | None = None) -> Arrays:
        with self._settings():
            found = self._seen_forward(self._models.held(parameters), self._device_batch(batch), bits=bits)
            return {name: to_numpy(array) for name, array in found.items()}

    def taught(self, parameters: Arrays, batch: Batch, given: Arrays) -> Arrays:
        with self._settings():
            found = self._forced(self._models.held(parameters), self._device_batch(batch), jax.device_put(given))
            return {name: to_numpy(array) for name, array in found.items()}

    def lowered(self, parameters: Arrays, batch: Batch) -> list[str]:
        with self._settings():
            given = self._models.held(parameters), self._device_batch(batch)
            program, found = settled(jax.make_jaxpr(self._lowered, return_shape=True))(*given)
        return lowered_before(program, list(found))

    def operations(self, parameters: Arrays, batch: Batch) -> dict[str, bool]:
        return {}

    def observe(
        self, parameters: Arrays, batch: Batch, bits: int | None = None, taught: Arrays | None = None
    ) -> Observation:
        with self._settings():
            given = self._models.held(parameters), self._device_batch(batch), jax.device_put(taught or {})
            passed, forward, cotangents = self._observed(*given, bits=bits)
            return Observation(
                {name: to_numpy(array) for name, array in forward.items()},
                self._gradients(passed),
                {name: to_numpy(array) for name, array in cotangents.items()},
            )

    def gradients(self, parameters: Arrays, batch: Batch, bits: int | None = None) -> Gradients:
        with self._settings():
            return self._gradients(
                self._differentiated(self._models.held(parameters), self._device_batch(batch), bits=bits)
            )

    def update(self, state: State, gradients: Arrays) -> State:
        with self._settings():
            held = self._models.held(state.parameters)
            optimizer = self._optimizer(held.trained, state.optimizer)
            # A frozen parameter may have no gradient where these come from.
            zeros = {n: np.zeros_like(a) for n, a in state.parameters.items() if n in self.frozen}
            trained, optimizer = self._applied(held.trained, optimizer, self._models.trained_from(zeros | gradients))
            return self._state(Held(trained, held.kept), optimizer, int(state.optimizer.get(STEP, 0)) + 1)

    def run(self, parameters: Arrays, batches: Iterable[Batch]) -> Iterator[Step]:
        with self._settings():
            held = self._models.held(parameters)
            optimizer = self._optimizer(held.trained, {})
        for number, batch in enumerate(batches, 1):
            with self._settings():
                passed = self._differentiated(held, self._device_batch(batch), bits=None)
                refuse(passed.moved)
                trained, optimizer = self._applied(held.trained, optimizer, passed.gradients)
                held = Held(trained, passed.kept)
                step = Step(self._gradients(passed), self._state(held, optimizer, number))
            yield step

    def losses(self, parameters: Arrays, batches: Iterable[Batch]) -> list[float]:
        found = []
        with self._settings():
            held = self._models.held(parameters)
            optimizer = self._optimizer(held.trained, {})
            for batch in batches:
                passed = self._differentiated(held, self._device_batch(batch), bits=None)
                trained, optimizer = self._applied(held.trained, optimizer, passed.gradients)
                held = Held(trained, passed.kept)
                found.append(passed.loss)
            return [float(loss) for loss in found]

    def predict(self, parameters: Arrays, batch: Batch) -> Arrays:
        with self._settings():
            held, given = self._models.held(parameters), self._device_batch(batch)
            found = self._predicted(held, given)
            if not self.alone and (ended := self._models.ended(held)) is not None:
                self.alone = rests_on(self._models.changed, found, self._predicted(ended, given))
            return {name: to_numpy(array) for name, array in found.items()}

    def scored(self, seed: int) -> dict[str, Batch]:
        return self._parts.scored_of(seed)

    def train(self, loop: str, seed: int, state: State | None, start: int, count: int) -> tuple[Array, State]:
        losses, parameters, optimizer = self._parts.run_of(
            loop, count, seed=seed, dtype=self.dtype, device=self.device, precision="float32", state=state, start=start,
        )  # fmt: skip
        return losses, State(parameters, optimizer)

    @contextmanager
    def _pass(
        self, held: Held, batch: dict[str, jax.Array], bits: int | None, probes: dict[str, jax.Array] | None = None, *,
        taught: dict[str, jax.Array] | None = None, layers: bool = True, training: bool | None = None,
    ) -> Iterator[Pass]:  # fmt: skip
        """One call of the side's own code, traced: its layers watched or only its output, dropout from the batch."""
        given = {name: array for name, array in batch.items() if name != STREAM}
        mode = self._side.tie.training if training is None else training
        model = self._models.bound(held, training=mode)
        watching = self._models.watched(model, bits, probes, taught, layers=layers)
        with (
            watching as watched, injected(batch.get(STREAM), self._handed.keys) as watched.masks,
            tapped(watched.tap) if layers else nullcontext(),
        ):  # fmt: skip
            turns = partial(self._calls.turns, batch, mode) if layers else no_turns
            handed = partial(self._handed.to, watched.masks, self._device_batch.last)
            yield Pass(model, nested(given), watched, mode, turns, handed)
        self._hidden |= watched.hidden

    # Batches of other shapes may call other layers: a compiled function keeps one order for each. JAX sorts a dict.

    def _forward(self, held: Held, batch: dict[str, jax.Array], bits: int | None) -> InOrder:
        with self._pass(held, batch, bits) as called:
            output = self._output(called)
        return OrderedDict(called.layers.forward | output)

    def _taught(self, held: Held, batch: dict[str, jax.Array], given: dict[str, jax.Array]) -> InOrder:
        with self._pass(held, batch, None, taught=given) as called:
            called.ask(self._parts.calling)
        return OrderedDict(called.layers.forward | ({} if self._side.predict else arrays_of(called.layers.outputs)))

    def _lowered(self, held: Held, batch: dict[str, jax.Array]) -> InOrder:
        with self._pass(held, batch, None) as called:
            given = called.ask(self._parts.calling)
        outputs = arrays_of(called.layers.outputs)
        if not outputs and self._side.predict is not None:
            # Of plain functions only `predict` shows what stands before the loss.
            outputs = self._predict(held, batch, training=None)
        return OrderedDict(called.layers.forward | outputs | ({} if self._side.loss is None else {"loss": given}))

    def _observe(
        self, held: Held, batch: dict[str, jax.Array], taught: dict[str, jax.Array], bits: int | None
    ) -> tuple[Passed, InOrder, InOrder]:
        def watched_loss(trained: Any, probes: dict[str, jax.Array] | None) -> tuple[jax.Array, tuple[Any, ...]]:
            with self._pass(Held(trained, held.kept), batch, bits, probes, taught=taught) as called:
                loss = called.loss_of(self._parts.loss)
            layers, seen = called.layers, called.layers.forward
            inputs = ((name, seen[name]) for name in layers.inputs)
            # What the model gave the loss, where nobody says otherwise.
            output = shown(layers) if self._side.predict is None else {}
            return loss, (OrderedDict(seen | output), OrderedDict(inputs), self._models.kept_after(called.model))

        _, (_, shapes, _) = jax.eval_shape(partial(watched_loss, probes=None), held.trained)
        probes = jax.tree.map(lambda shape: jnp.zeros(shape.shape, shape.dtype), shapes)
        passed = jax.value_and_grad(watched_loss, argnums=(0, 1), has_aux=True)(held.trained, probes)
        (loss, (forward, _, kept)), (gradients, cotangents) = passed
        if self._side.predict is not None:
            forward |= self._predict(held, batch, training=None)
        return Passed(loss, gradients, kept), forward, cotangents

    def _differentiate(self, held: Held, batch: dict[str, jax.Array], bits: int | None) -> Passed:
        def loss(trained: Any) -> tuple[jax.Array, Any]:
            with self._pass(Held(trained, held.kept), batch, bits, layers=bits is not None) as called:
                found: jax.Array = called.loss_of(self._parts.loss)
            return found, (self._models.kept_after(called.model), self._models.moved(called.model, trained))

        (found, after), gradients = jax.value_and_grad(loss, has_aux=True)(held.trained)
        return Passed(found, gradients, *after)

    def _predict(self, held: Held, batch: dict[str, jax.Array], training: bool | None = False) -> dict[str, jax.Array]:
        with self._pass(held, batch, None, layers=False, training=training) as called:
            return self._output(called)

    def _output(self, called: Pass) -> dict[str, jax.Array]:
        """What `predict` gives; without one, what the model gave when the loss called it."""
        if self._side.predict is not None:
            part, arrays = "predict", arrays_of(called.ask(self._parts.predict))
        else:
            called.ask(self._parts.loss)
            part, arrays = "model", shown(called.layers)
        if not arrays:
            raise NotCheckable(f"the jax side's {part} gave no array: `predict` is (model, batch) -> output")
        return arrays

    def _begin(self, trained: Any) -> Any:
        return () if self._transformation is None else self._transformation.init(trained)

    def _apply(self, trained: Any, optimizer: Any, gradients: Any) -> tuple[Any, Any]:
        if self._transformation is None:
            return self._parts.update(trained, gradients), optimizer
        updates, optimizer = self._transformation.update(gradients, optimizer, trained)
        return optax.apply_updates(trained, updates), optimizer

    def missing(self, loop: str) -> str:
        return self._parts.why_not(loop, self.device)

    def _optimizer(self, trained: Any, arrays: Arrays) -> Any:
        if self._transformation is None and (found := translation(self._parts, self._models)) is not None:
            self._translated, self._transformation = found
        if self._translated is not None and self._translated.starts_apart and arrays:
            arrays = arrays | {STEP: np.asarray(1)}
        fresh, theirs = self._fresh(trained), self._parts.torch_entries
        whole = completed(arrays, fresh, trained, self._models.trained_arrays, theirs)
        return state_in(fresh, trained, whole, self._models.trained_from, self._models.trained_arrays, theirs)

    def _arrays(self, held: Held) -> Arrays:
        return self._models.trained_arrays(held.trained) | self._models.kept_arrays(held.kept)

    def _gradients(self, passed: Passed) -> Gradients:
        return Gradients(
            to_numpy(passed.loss), self._models.trained_arrays(passed.gradients), self._models.kept_arrays(passed.kept)
        )

    def _state(self, held: Held, optimizer: Any, taken: int) -> State:
        theirs = self._parts.torch_entries
        found = with_count(state_out(optimizer, held.trained, self._models.trained_arrays, theirs), theirs, taken)
        if self._translated is not None:
            found = self._translated.remembered(found) | ({STEP: found[STEP]} if self._translated.counts else {})
        return State(self._arrays(held), found)
