"""A PyTorch side that runs: `parity.live.LiveSide` with torch autograd and `torch.optim`."""

from __future__ import annotations

import platform
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from parity.errors import NotCheckable
from parity.live import Gradients, Observation, Step
from parity.pair import Side
from parity.parts import Parts, blame
from parity.recording import Array, Arrays, Batch, Device, Dtype, Framework, Provenance, State
from parity.rounding import cast
from parity.torch_side.layers import watch
from parity.torch_side.optimizer import state_in, state_out


def to_numpy(tensor: Tensor) -> Array:
    """A tensor as an array of its own memory, so that a later step cannot overwrite it."""
    return np.array(tensor.detach().cpu().numpy())


@contextmanager
def full_float32() -> Iterator[None]:
    """Full float32 products, whatever the caller's settings; the settings come back afterwards."""
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("highest")
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before)


class TorchSide:
    """The torch half of a pair in one dtype on one device."""

    framework: Framework = "torch"

    def __init__(self, side: Side, dtype: Dtype, device: Device) -> None:
        if device == "gpu" and not torch.cuda.is_available():
            raise NotCheckable("torch sees no CUDA device: use --device cpu, or install a CUDA build of torch")
        self.dtype, self.device, self.loops = dtype, device, side.loops
        self._parts = Parts(side, self.framework)
        self._by_hand = side.update is not None
        self._torch_device = torch.device("cuda" if device == "gpu" else "cpu")

    def provenance(self) -> Provenance:
        with full_float32():
            return Provenance(
                framework=self.framework,
                versions={"torch": torch.__version__, "numpy": np.__version__, "python": platform.python_version()},
                device=self.device,
                device_name=torch.cuda.get_device_name() if self.device == "gpu" else platform.machine(),
                dtype=self.dtype,
                precision={"highest": "float32"}.get(torch.get_float32_matmul_precision(), "tf32"),
                x64=self.dtype == "float64",
            )

    def initial(self, seed: int) -> Arrays:
        drawn: Arrays = cast(self._parts.parameters(seed), self.dtype)
        return self._arrays(self._model(drawn))

    def batches(self, seed: int, steps: int) -> Sequence[Batch]:
        return self._parts.batches_of(seed, steps)

    def seen(self, batch: Batch) -> Batch:
        return {name: tensor.cpu().numpy() for name, tensor in self._tensors(batch).items()}

    def forward(self, parameters: Arrays, batch: Batch, bits: int | None = None) -> Arrays:
        with full_float32(), torch.no_grad():
            model, tensors = self._model(parameters), self._tensors(batch)
            with watch(model, bits) as layers:
                output = self._output(model, tensors)
            return {name: to_numpy(tensor) for name, tensor in (layers.forward | {"output": output}).items()}

    def observe(self, parameters: Arrays, batch: Batch, bits: int | None = None) -> Observation:
        with full_float32():
            model, tensors = self._model(parameters), self._tensors(batch)
            with watch(model, bits) as layers:
                loss = self._loss(model, tensors)
            with torch.no_grad():
                output = self._output(model, tensors)
            named = self._parameters(model)
            wanted = [*named.values(), *layers.inputs.values()]
            found = [to_numpy(g) for g in torch.autograd.grad(loss, wanted, materialize_grads=True)]
            forward = {name: to_numpy(tensor) for name, tensor in (layers.forward | {"output": output}).items()}
            gradients = Gradients(to_numpy(loss), dict(zip(named, found, strict=False)))
            return Observation(forward, gradients, dict(zip(layers.inputs, found[len(named) :], strict=True)))

    def gradients(self, parameters: Arrays, batch: Batch, bits: int | None = None) -> Gradients:
        with full_float32():
            model = self._model(parameters)
            with watch(model if bits is not None else None, bits):
                loss = self._loss(model, self._tensors(batch))
            return self._differentiated(loss, self._parameters(model))

    def update(self, state: State, gradients: Arrays) -> State:
        with full_float32():
            model = self._model(state.parameters)
            optimizer = self._optimizer(model, state.optimizer)
            return self._updated(model, optimizer, gradients)[1]

    def run(self, parameters: Arrays, batches: Iterable[Batch]) -> Iterator[Step]:
        model = self._model(parameters)
        optimizer = self._optimizer(model, {})
        for batch in batches:
            with full_float32():
                loss = self._loss(model, self._tensors(batch))
                gradients = self._differentiated(loss, self._parameters(model))
                model, state = self._updated(model, optimizer, gradients.parameters)
            yield Step(gradients, state)

    def losses(self, parameters: Arrays, batches: Iterable[Batch]) -> list[float]:
        found = []
        with full_float32():
            model = self._model(parameters)
            optimizer = self._optimizer(model, {})
            for batch in batches:
                loss = self._loss(model, self._tensors(batch))
                named = self._parameters(model)
                slopes = torch.autograd.grad(loss, list(named.values()), materialize_grads=True)
                model = self._moved(model, optimizer, dict(zip(named, slopes, strict=True)))
                found.append(loss.detach())
            return [float(loss) for loss in found]

    def predict(self, parameters: Arrays, batch: Batch) -> Array:
        with full_float32(), torch.no_grad():
            return to_numpy(self._output(self._model(parameters), self._tensors(batch)))

    def scored(self, seed: int) -> dict[str, Batch]:
        return self._parts.scored_of(seed)

    def train(self, loop: str, seed: int, state: State | None, start: int, count: int) -> tuple[Array, State]:
        losses, parameters, optimizer = self._parts.run_of(
            loop, count, seed=seed, dtype=self.dtype, device=self.device, precision="float32", state=state, start=start,
        )  # fmt: skip
        return losses, State(parameters, optimizer)

    def missing(self, loop: str) -> str:
        return self._parts.why_not(loop, self.device)

    def _model(self, parameters: Arrays) -> Any:
        return self._parts.model_of(parameters, self.dtype, self.device)

    def _arrays(self, model: Any) -> Arrays:
        arrays: Arrays = self._parts.arrays(model)
        return {name: np.array(array) for name, array in arrays.items()}

    def _loss(self, model: Any, tensors: dict[str, Tensor]) -> Tensor:
        loss = self._parts.loss(model, tensors)
        if isinstance(loss, Tensor) and loss.shape == () and loss.requires_grad:
            return loss
        what = f"a tensor of shape {tuple(loss.shape)}" if isinstance(loss, Tensor) else f"a {type(loss).__name__}"
        raise NotCheckable(
            f"the torch side's loss gave {what}: expected a single number that depends on the parameters"
        )

    def _output(self, model: Any, tensors: dict[str, Tensor]) -> Tensor:
        output = self._parts.predict(model, tensors)
        if isinstance(output, Tensor) and output.dtype is not torch.bfloat16:
            return output
        what = f"a {output.dtype} tensor" if isinstance(output, Tensor) else f"a {type(output).__name__}"
        raise NotCheckable(f"the torch side's predict gave {what}: expected a tensor of a dtype that NumPy has")

    def _parameters(self, model: Any) -> dict[str, Tensor]:
        named = dict(model.named_parameters()) if isinstance(model, nn.Module) else dict(model)
        if frozen := [name for name, parameter in named.items() if not parameter.requires_grad]:
            raise NotCheckable(
                f"the torch side's parameter {frozen[0]} has requires_grad off: a frozen one has no gradient"
            )
        return named

    def _tensors(self, batch: Batch) -> dict[str, Tensor]:
        # Copied, so that nothing the model does to a batch comes back to the array.
        held = {"f": np.dtype(self.dtype)}
        copies = {name: np.array(array, held.get(array.dtype.kind)) for name, array in batch.items()}
        return {name: torch.from_numpy(array).to(self._torch_device) for name, array in copies.items()}

    def _differentiated(self, loss: Tensor, parameters: dict[str, Tensor]) -> Gradients:
        found = torch.autograd.grad(loss, list(parameters.values()), materialize_grads=True)
        return Gradients(to_numpy(loss), {name: to_numpy(g) for name, g in zip(parameters, found, strict=True)})

    def _optimizer(self, model: Any, arrays: Arrays) -> torch.optim.Optimizer | None:
        if self._by_hand:
            return None
        parameters = self._parameters(model)
        optimizer: torch.optim.Optimizer = self._parts.optimizer(list(parameters.values()))
        state_in(optimizer, parameters, arrays)
        return optimizer

    def _updated(self, model: Any, optimizer: torch.optim.Optimizer | None, gradients: Arrays) -> tuple[Any, State]:
        parameters = self._parameters(model)
        tensors = {name: torch.from_numpy(gradients[name].copy()).to(self._torch_device) for name in parameters}
        model = self._moved(model, optimizer, tensors)
        return model, State(self._arrays(model), {} if optimizer is None else state_out(optimizer, parameters))

    def _moved(self, model: Any, optimizer: torch.optim.Optimizer | None, gradients: dict[str, Tensor]) -> Any:
        """The model after one step: another one where the update is by hand, the same one with an optimizer."""
        if optimizer is None:
            return self._parts.update(model, gradients)
        for name, parameter in self._parameters(model).items():
            parameter.grad = gradients[name]
        with blame(self.framework, "optimizer"):
            optimizer.step()
        return model
