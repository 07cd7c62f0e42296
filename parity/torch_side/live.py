"""A PyTorch side that runs: `parity.sides.live.LiveSide` with torch autograd and `torch.optim`."""

from __future__ import annotations

import platform
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from typing import Any

import numpy as np
import torch
from torch import Tensor

from parity.arrays.draws import STREAM, pass_name
from parity.arrays.rounding import cast
from parity.arrays.tree import nested
from parity.errors import NotCheckable
from parity.pair.pair import Side
from parity.pair.tap import tapped
from parity.recording import Array, Arrays, Batch, Device, Dtype, Framework, Provenance, State
from parity.sides.live import Gradients, Observation, Step
from parity.sides.parts import Parts
from parity.torch_side.dropout import injected
from parity.torch_side.eager import eagerly
from parity.torch_side.fast_path import TOLD, has_fast_path, other_numbers, slow_path
from parity.torch_side.gradients import filled, laid_out_as, slopes_by
from parity.torch_side.idle import Idle
from parity.torch_side.layers import Layers, watch
from parity.torch_side.lowering import Lowering
from parity.torch_side.models import ByHand, Models, OfModule, default_dtype, in_dtype, to_numpy, trained
from parity.torch_side.outputs import checked_output, tensors_of
from parity.torch_side.precision import full_float32, lowered
from parity.torch_side.updater import Updater
from parity.weight_map.outline import Outline


class TorchSide:
    """The torch half of a pair in one dtype on one device."""

    framework: Framework = "torch"
    weight_map: None = None
    unmatched: frozenset[str] = frozenset()
    apart: frozenset[str] = frozenset()
    doubts: tuple[str, ...] = ()

    def __init__(self, side: Side, dtype: Dtype, device: Device) -> None:
        if device == "gpu" and not torch.cuda.is_available():
            raise NotCheckable("torch sees no CUDA device: use --device cpu, or install a CUDA build of torch")
        self.dtype, self.device, self.loops = dtype, device, side.loops
        self._parts = Parts(side, self.framework, dtype)
        self._side = side
        self.drew, self.changed, self.alone = False, "", ""
        self.remarks: tuple[str, ...] = ()
        with self._settings():
            self._parts.import_all()
        self.changed = ""  # what a module sets when it is imported is the whole program's, and is set back
        self._torch_device = torch.device("cuda" if device == "gpu" else "cpu")
        self._models: Models = (
            ByHand(self._parts, dtype, device) if side.arrays else OfModule(self._parts, dtype, self._torch_device)
        )
        self._acted: set[str] = set()
        self._seen: set[str] = set()
        self._used: set[str] = set()
        self._sparse: set[str] = set()
        self._masks: list[tuple[int, ...]] = []

    @property
    def frozen(self) -> frozenset[str]:
        return self._parts.frozen

    @property
    def idle(self) -> frozenset[str]:
        parts = {"clip": self._side.clip, "scheduler": self._side.scheduler, "turn": self._side.scheduler}
        return frozenset(name for name, part in parts.items() if part is not None) - self._acted

    @property
    def outline(self) -> Outline | None:
        return None if self._side.arrays else self._parts.torch_outline

    def provenance(self) -> Provenance:
        with full_float32():
            return Provenance(
                framework=self.framework,
                versions={"torch": torch.__version__, "numpy": np.__version__, "python": platform.python_version()},
                device=self.device,
                device_name=torch.cuda.get_device_name() if self.device == "gpu" else platform.machine(),
                dtype=self.dtype,
                precision="tf32" if lowered() else "float32",
                x64=self.dtype == "float64",
            )

    def initial(self, seed: int) -> Arrays:
        drawn: Arrays = cast(self._parts.initial(seed), self.dtype)
        return self._models.arrays(self._models.built(drawn, training=self._side.tie.training))

    def batches(self, seed: int, steps: int) -> Sequence[Batch]:
        return self._parts.batches_of(seed, steps)

    def seen(self, batch: Batch) -> Batch:
        return {name: to_numpy(tensor) for name, tensor in self._tensors(batch).items()}

    def forward(self, parameters: Arrays, batch: Batch, bits: int | None = None) -> Arrays:
        model = self._unmoved(self._built(parameters))
        with self._pass(model, batch, bits) as (layers, tensors):
            output = self._output(model, tensors, layers)
        return {name: to_numpy(tensor) for name, tensor in (layers.forward | output).items()}

    def taught(self, parameters: Arrays, batch: Batch, given: Arrays) -> Arrays:
        model = self._to_be_called(parameters)
        with self._pass(model, batch, None, taught=self._handed(given)) as (layers, tensors):
            self._parts.calling(model, tensors)
        found = layers.forward | ({} if self._side.predict else tensors_of(layers.outputs))
        return {name: to_numpy(tensor) for name, tensor in found.items()}

    def _handed(self, given: Arrays) -> dict[str, Tensor]:
        return {name: in_dtype(array, self.dtype).to(self._torch_device) for name, array in given.items()}

    def lowered(self, parameters: Arrays, batch: Batch) -> list[str]:
        model = self._to_be_called(parameters)
        with self._pass(model, batch, None) as (layers, tensors):
            lowering = Lowering(layers)
            with lowering.watching():
                self._parts.calling(model, tensors)
        return lowering.places

    def dropouts(self, parameters: Arrays, batch: Batch) -> dict[str, list[tuple[int, ...]]]:
        """The shapes of the masks that a pass over such a batch draws in each part, by `pass_name`."""
        found = {}
        for part, asked in (("loss", self._side.loss), ("predict", self._side.predict)):
            if asked is not None:
                model = self._built(parameters)
                model = self._unmoved(model) if part == "predict" else model
                with self._pass(model, batch, None, layers=False) as (_, tensors):
                    getattr(self._parts, part)(model, tensors)
            # Without `predict`, the output is what the model gives the loss.
            found[pass_name(part, batch)] = self._masks
        return found

    def operations(self, parameters: Arrays, batch: Batch) -> dict[str, bool]:
        model = self._to_be_called(parameters)
        idle = Idle(model)
        with self._pass(model, batch, None, layers=False) as (_, tensors), idle.watching():
            self._parts.calling(model, tensors)
        return idle.changed

    def observe(
        self, parameters: Arrays, batch: Batch, bits: int | None = None, taught: Arrays | None = None
    ) -> Observation:
        model = self._built(parameters)
        named = self._trained(model)
        with self._pass(model, batch, bits, taught=self._handed(taught or {}), slopes=True) as (layers, tensors):
            loss = self._loss(model, tensors)
        buffers = self._models.buffers(model)
        output = tensors_of(layers.outputs)
        wanted = [*named.values(), *layers.inputs.values()]
        with self._settings():
            found = [to_numpy(slope) for slope in filled(slopes_by(loss, wanted), wanted)]
        if self._side.predict is not None:
            # Another model: the loss has moved what this one keeps, such as the vectors of a spectral norm.
            fresh = self._unmoved(self._built(parameters))
            with self._pass(fresh, batch, None, layers=False) as (_, tensors):
                output = self._output(fresh, tensors, layers)
        forward = {name: to_numpy(tensor) for name, tensor in (layers.forward | output).items()}
        gradients = Gradients(to_numpy(loss), dict(zip(named, found, strict=False)), buffers)
        return Observation(forward, gradients, dict(zip(layers.inputs, found[len(named) :], strict=True)))

    def gradients(self, parameters: Arrays, batch: Batch, bits: int | None = None) -> Gradients:
        model = self._built(parameters)
        loss, slopes, _ = self._differentiated(model, batch, bits)
        return self._gradients(model, loss, slopes)

    def update(self, state: State, gradients: Arrays) -> State:
        model = self._built(state.parameters)
        updater = self._updater(model, state.optimizer)
        slopes = {
            name: laid_out_as(slope, sparse=name in self._sparse) for name, slope in self._handed(gradients).items()
        }
        without = self._never() & gradients.keys()
        return self._state(self._moved(model, updater, slopes, without), updater)

    def run(self, parameters: Arrays, batches: Iterable[Batch]) -> Iterator[Step]:
        model = self._built(parameters)
        updater = self._updater(model, {})
        for batch in batches:
            loss, slopes, without = self._differentiated(model, batch)
            gradients = self._gradients(model, loss, slopes)
            model = self._moved(model, updater, slopes, without)
            yield Step(gradients, self._state(model, updater))

    def losses(self, parameters: Arrays, batches: Iterable[Batch]) -> list[float]:
        found = []
        model = self._built(parameters)
        updater = self._updater(model, {})
        for batch in batches:
            loss, slopes, without = self._differentiated(model, batch)
            model = self._moved(model, updater, slopes, without)
            found.append(loss.detach())
        return [float(loss) for loss in found]

    def predict(self, parameters: Arrays, batch: Batch) -> Arrays:
        model = self._unmoved(self._models.built(parameters, training=False))
        output = self._predicted(model, batch, fast=True)
        if has_fast_path(model) and other_numbers(output, self._predicted(model, batch, fast=False)):
            self.remarks = (TOLD,)
        return {name: to_numpy(tensor) for name, tensor in output.items()}

    def _predicted(self, model: Any, batch: Batch, *, fast: bool) -> dict[str, Tensor]:
        with self._pass(model, batch, None, layers=False, fast=fast) as (layers, tensors):
            return self._output(model, tensors, layers)

    def scored(self, seed: int) -> dict[str, Batch]:
        return self._parts.scored_of(seed)

    def train(self, loop: str, seed: int, state: State | None, start: int, count: int) -> tuple[Array, State]:
        losses, parameters, optimizer = self._parts.run_of(
            loop, count, seed=seed, dtype=self.dtype, device=self.device, precision="float32", state=state, start=start,
        )  # fmt: skip
        return losses, State(parameters, optimizer)

    def missing(self, loop: str) -> str:
        return self._parts.why_not(loop, self.device)

    @contextmanager
    def _settings(self) -> Iterator[None]:
        """Full float32 products, all eager and once; for a module of the user's also its dtype as torch's default."""
        with full_float32(), eagerly(), nullcontext() if self._side.arrays else default_dtype(self.dtype):
            yield
            self.changed = self.changed or lowered()

    @contextmanager
    def _pass(
        self,
        model: Any,
        batch: Batch,
        bits: int | None,
        *,
        taught: dict[str, Tensor] | None = None,
        layers: bool = True,
        slopes: bool = False,
        fast: bool = False,
    ) -> Iterator[tuple[Layers, dict[str, Tensor]]]:
        """One call of the side's own code: its layers watched, or only its output, and dropout from the batch.

        `fast`: as it is called outside a check, where encoders may leave out their layers.
        """
        tensors = self._tensors(batch)
        tensors.pop(STREAM, None)
        # What goes into a module of the user's is laid out as its framework has it, and its output is recorded anyway.
        by_hand = self._side.arrays is not None
        watching = watch(model, bits, taught=taught, layers=layers, by_hand=by_hand, slopes=slopes)
        with (
            self._settings(),
            nullcontext() if fast else slow_path(),
            watching as watched,
            tapped(watched.tap) if layers else nullcontext(),
            injected(batch.get(STREAM)) as drawn,
        ):
            yield watched, nested(tensors)
        self.drew, self._masks = self.drew or drawn.own, drawn.shapes

    def _unmoved(self, model: Any) -> Any:
        """The model without gradients by its parameters, where `predict` is called: its code may ask for others."""
        if self._side.predict is not None and isinstance(model, torch.nn.Module):
            model.requires_grad_(False)
        return model

    def _to_be_called(self, parameters: Arrays) -> Any:
        """The model for the loss or, where there is none, for `predict`."""
        model = self._built(parameters)
        return self._unmoved(model) if self._side.loss is None else model

    def _built(self, parameters: Arrays) -> Any:
        return self._models.built(parameters, training=self._side.tie.training)

    def _loss(self, model: Any, tensors: dict[str, Tensor]) -> Tensor:
        loss = self._parts.loss(model, tensors)
        if isinstance(loss, Tensor) and loss.shape == () and loss.requires_grad:
            return loss
        what = f"a tensor of shape {tuple(loss.shape)}" if isinstance(loss, Tensor) else f"a {type(loss).__name__}"
        raise NotCheckable(
            f"the torch side's loss gave {what}: expected a single number that depends on the parameters"
        )

    def _output(self, model: Any, tensors: dict[str, Tensor], layers: Layers) -> dict[str, Tensor]:
        """What `predict` gives; without one, what the model gave when the loss called it."""
        if self._side.predict is not None:
            found = self._parts.predict(model, tensors)
        else:
            self._parts.loss(model, tensors)
            found = layers.outputs
        return checked_output("predict" if self._side.predict is not None else "model", found)

    def _tensors(self, batch: Batch) -> dict[str, Tensor]:
        # Copied, so that nothing the model does to a batch comes back to the array.
        held = cast(batch, self.dtype)
        return {name: in_dtype(array, self.dtype).to(self._torch_device) for name, array in held.items()}

    def _differentiated(
        self, model: Any, batch: Batch, bits: int | None = None
    ) -> tuple[Tensor, dict[str, Tensor], frozenset[str]]:
        """The loss, its gradients, 0 where torch has none, and the parameters that it has none of."""
        named = self._trained(model)
        wanted = list(named.values())
        with self._pass(model, batch, bits, layers=bits is not None) as (_, tensors):
            loss = self._loss(model, tensors)
        with self._settings():
            found = slopes_by(loss, wanted)
        slopes = dict(zip(named, filled(found, wanted), strict=True))
        without = frozenset(name for name, slope in zip(named, found, strict=True) if slope is None)
        self._seen |= named.keys()
        self._used |= named.keys() - without
        self._sparse |= {name for name, slope in slopes.items() if slope.is_sparse}
        return loss, slopes, without

    def _never(self) -> frozenset[str]:
        """The parameters that no pass so far had a gradient of: of a gradient alone it cannot be told why it is 0."""
        return frozenset(self._seen - self._used)

    def _trained(self, model: Any) -> dict[str, Tensor]:
        return trained(self._models.parameters(model), self.frozen | self._models.still)

    def _gradients(self, model: Any, loss: Tensor, slopes: dict[str, Tensor]) -> Gradients:
        named = {name: to_numpy(slope) for name, slope in slopes.items()}
        return Gradients(to_numpy(loss), named, self._models.buffers(model))

    def _updater(self, model: Any, state: Arrays) -> Updater | None:
        """The optimizer over the model's parameters; None where the update is by hand."""
        if self._side.update is not None:
            return None
        return Updater(self._parts, self._models.parameters(model), state, self._acted, self._models.still)

    def _state(self, model: Any, updater: Updater | None) -> State:
        return State(self._models.arrays(model), {} if updater is None else updater.state())

    def _moved(self, model: Any, updater: Updater | None, gradients: dict[str, Tensor], without: frozenset[str]) -> Any:
        """The model after one step: another one where the update is by hand, the same one with an optimizer.

        An optimizer is handed no gradient of the parameters `without` one, as `backward` would leave them.
        """
        with self._settings():
            if updater is None:
                return self._parts.update(model, gradients)
            updater.step(gradients, without)
        return model
