"""A JAX side that runs: `parity.live.LiveSide` with `jax.grad`, `jax.jit` and Optax."""

from __future__ import annotations

import platform
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

import flax
import jax
import jax.numpy as jnp
import numpy as np
import optax

from parity.errors import NotCheckable
from parity.jax_side.layers import watch
from parity.jax_side.optimizer import state_in, state_out
from parity.live import Gradients, Observation, Step
from parity.pair import Side
from parity.parts import Parts, watched
from parity.recording import Array, Arrays, Batch, Device, Dtype, Framework, Provenance, State
from parity.rounding import cast


def to_numpy(array: jax.Array) -> Array:
    """A device array as an array of its own memory."""
    return np.array(array)


class JaxSide:
    """The JAX half of a pair in one dtype on one device. Each of its functions is compiled once."""

    framework: Framework = "jax"

    def __init__(self, side: Side, dtype: Dtype, device: Device) -> None:
        self.dtype, self.device, self.loops = dtype, device, side.loops
        try:
            self._jax_device = jax.devices("cpu" if device == "cpu" else "gpu")[0]
        except RuntimeError as error:
            raise NotCheckable(f"JAX sees no {device}: use --device cpu, or pip install 'jax[cuda13]'") from error
        self._parts = Parts(side, self.framework)
        self._held: tuple[Batch, dict[str, jax.Array]] = {}, {}
        self._transformation = None if side.optimizer is None else self._parts.optimizer()
        self._fresh = self._compiled("optimizer", self._begin)
        self._seen_forward = self._compiled("predict", self._forward, "bits")
        self._observed = self._compiled("loss or its gradient", self._observe, "bits")
        self._differentiated = self._compiled("loss or its gradient", self._differentiate, "bits")
        self._applied = self._compiled("update", self._apply)
        self._predicted = self._compiled("predict", lambda model, batch: jnp.asarray(self._parts.predict(model, batch)))

    def _compiled(self, label: str, function: Callable[..., Any], *static: str) -> Callable[..., Any]:
        return watched(self.framework, label, jax.jit(function, static_argnames=static))

    @contextmanager
    def _settings(self) -> Iterator[None]:
        """64-bit JAX on for float64 and off for float32, full float32 products, this side's device."""
        with (
            jax.enable_x64(self.dtype == "float64"),
            jax.default_matmul_precision("highest"),
            jax.default_device(self._jax_device),
        ):
            yield

    def provenance(self) -> Provenance:
        with self._settings():
            packages = {"jax": jax, "flax": flax, "optax": optax, "numpy": np}
            return Provenance(
                framework=self.framework,
                versions={name: package.__version__ for name, package in packages.items()}
                | {"python": platform.python_version()},
                device=self.device,
                device_name=self._jax_device.device_kind if self.device == "gpu" else platform.machine(),
                dtype=self.dtype,
                precision={"highest": "float32"}.get(str(jax.config.values["jax_default_matmul_precision"]), "tf32"),
                x64=bool(jax.config.values["jax_enable_x64"]),
            )

    def initial(self, seed: int) -> Arrays:
        with self._settings():
            return self._arrays(self._model(cast(self._parts.parameters(seed), self.dtype)))

    def batches(self, seed: int, steps: int) -> Sequence[Batch]:
        return self._parts.batches_of(seed, steps)

    def seen(self, batch: Batch) -> Batch:
        with self._settings():
            arrays = {name: np.asarray(array) for name, array in self._device_batch(batch).items()}
        # Without 64-bit JAX whole numbers are held in 32 bits; their values are what is compared.
        return {name: a.astype(np.int64) if a.dtype.kind in "iu" else a for name, a in arrays.items()}

    def forward(self, parameters: Arrays, batch: Batch, bits: int | None = None) -> Arrays:
        with self._settings():
            found = self._seen_forward(self._model(parameters), self._device_batch(batch), bits=bits)
            return {name: to_numpy(found[name]) for name in self._order}

    def observe(self, parameters: Arrays, batch: Batch, bits: int | None = None) -> Observation:
        with self._settings():
            found = self._observed(self._model(parameters), self._device_batch(batch), bits=bits)
            loss, forward, gradients, cotangents = found
            return Observation(
                {name: to_numpy(forward[name]) for name in self._order},
                Gradients(to_numpy(loss), self._arrays(gradients)),
                {name: to_numpy(cotangents[name]) for name in self._order if name in cotangents},
            )

    def gradients(self, parameters: Arrays, batch: Batch, bits: int | None = None) -> Gradients:
        with self._settings():
            return self._gradients(self._differentiated(self._model(parameters), self._device_batch(batch), bits=bits))

    def update(self, state: State, gradients: Arrays) -> State:
        with self._settings():
            model = self._model(state.parameters)
            optimizer = self._optimizer(model, state.optimizer)
            return self._state(*self._applied(model, optimizer, self._model(gradients)))

    def run(self, parameters: Arrays, batches: Iterable[Batch]) -> Iterator[Step]:
        with self._settings():
            model = self._model(parameters)
            optimizer = self._optimizer(model, {})
        for batch in batches:
            with self._settings():
                found = self._differentiated(model, self._device_batch(batch), bits=None)
                model, optimizer = self._applied(model, optimizer, found[1])
                step = Step(self._gradients(found), self._state(model, optimizer))
            yield step

    def losses(self, parameters: Arrays, batches: Iterable[Batch]) -> list[float]:
        found = []
        with self._settings():
            model = self._model(parameters)
            optimizer = self._optimizer(model, {})
            for batch in batches:
                loss, gradients = self._differentiated(model, self._device_batch(batch), bits=None)
                model, optimizer = self._applied(model, optimizer, gradients)
                found.append(loss)
            return [float(loss) for loss in found]

    def predict(self, parameters: Arrays, batch: Batch) -> Array:
        with self._settings():
            return to_numpy(self._predicted(self._model(parameters), self._device_batch(batch)))

    def scored(self, seed: int) -> dict[str, Batch]:
        return self._parts.scored_of(seed)

    def train(self, loop: str, seed: int, state: State | None, start: int, count: int) -> tuple[Array, State]:
        losses, parameters, optimizer = self._parts.run_of(
            loop, count, seed=seed, dtype=self.dtype, device=self.device, precision="float32", state=state, start=start,
        )  # fmt: skip
        return losses, State(parameters, optimizer)

    def _forward(self, model: Any, batch: dict[str, jax.Array], bits: int | None) -> dict[str, jax.Array]:
        with watch(model, bits) as layers:
            output = jnp.asarray(self._parts.predict(model, batch))
        forward = layers.forward | {"output": output}
        self._order = list(forward)
        return forward

    def _observe(self, model: Any, batch: dict[str, jax.Array], bits: int | None) -> tuple[Any, ...]:
        def watched_loss(model: Any, probes: dict[str, jax.Array] | None) -> tuple[jax.Array, dict[str, jax.Array]]:
            with watch(model, bits, probes) as layers:
                loss = self._parts.loss(model, batch)
            self._inputs = layers.inputs
            return loss, layers.forward

        _, shapes = jax.eval_shape(partial(watched_loss, probes=None), model)
        probes = {name: jnp.zeros(shapes[name].shape, shapes[name].dtype) for name in self._inputs}
        passed = jax.value_and_grad(watched_loss, argnums=(0, 1), has_aux=True)(model, probes)
        (loss, forward), (gradients, cotangents) = passed
        forward = forward | {"output": self._parts.predict(model, batch)}
        self._order = list(forward)
        return loss, forward, gradients, cotangents

    def _differentiate(self, model: Any, batch: dict[str, jax.Array], bits: int | None) -> tuple[jax.Array, Any]:
        def loss(model: Any) -> jax.Array:
            with watch(model if bits is not None else None, bits):
                found: jax.Array = self._parts.loss(model, batch)
            return found

        return jax.value_and_grad(loss)(model)

    def _begin(self, model: Any) -> Any:
        return () if self._transformation is None else self._transformation.init(model)

    def _apply(self, model: Any, optimizer: Any, gradients: Any) -> tuple[Any, Any]:
        if self._transformation is None:
            return self._parts.update(model, gradients), optimizer
        updates, optimizer = self._transformation.update(gradients, optimizer, model)
        return optax.apply_updates(model, updates), optimizer

    def missing(self, loop: str) -> str:
        return self._parts.why_not(loop, self.device)

    def _model(self, parameters: Arrays) -> Any:
        return self._parts.model_of(parameters, self.dtype, self.device)

    def _arrays(self, model: Any) -> Arrays:
        arrays: Arrays = self._parts.arrays(model)
        return {name: np.array(array) for name, array in arrays.items()}

    def _device_batch(self, batch: Batch) -> dict[str, jax.Array]:
        """The batch on the device, where it stays until another is asked for: nothing can change it there."""
        if batch is not self._held[0]:
            self._held = batch, self._put(batch)
        return self._held[1]

    def _put(self, batch: Batch) -> dict[str, jax.Array]:
        whole = np.int64 if self.dtype == "float64" else np.int32
        held = {"f": np.dtype(self.dtype), "i": np.dtype(whole), "u": np.dtype(whole)}
        # Copied, since JAX may go on using the memory that it is given; all at once, without a program for each.
        tensors: dict[str, jax.Array] = jax.device_put(
            {name: np.array(a, held.get(a.dtype.kind, a.dtype), order="C") for name, a in batch.items()}
        )
        return tensors

    def _optimizer(self, model: Any, arrays: Arrays) -> Any:
        return state_in(self._fresh(model), model, arrays, self._model)

    def _gradients(self, found: tuple[jax.Array, Any]) -> Gradients:
        loss, gradients = found
        return Gradients(to_numpy(loss), self._arrays(gradients))

    def _state(self, model: Any, optimizer: Any) -> State:
        return State(self._arrays(model), state_out(optimizer, model, self._arrays))
