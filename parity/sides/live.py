"""A live side: the declared parts of one framework, ready to run in one dtype on one device.

`parity.torch_side` and `parity.jax_side` each implement `LiveSide`. Everything that crosses it is NumPy,
bfloat16 in float32.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple, Protocol

from parity.errors import MissingFramework
from parity.pair.pair import Side
from parity.recording import Array, Arrays, Batch, Device, Dtype, Framework, Provenance, State
from parity.weight_map.outline import Outline
from parity.weight_map.weight_map import WeightMap

Move = Callable[[Arrays], Arrays]
"""Moves every array by little."""


class Gradients(NamedTuple):
    """A loss, shape (), its gradient with respect to every parameter, and the model's buffers after the pass.

    Of a frozen parameter there need not be a gradient.
    """

    loss: Array
    parameters: Arrays
    buffers: Arrays


class Observation(NamedTuple):
    """One forward and backward pass with its layers and taps.

    `forward` has the inputs and outputs of every call of a layer that owns arrays, what stands at every tap, and
    the model's `output`. `cotangents` has the gradient of the loss with respect to every such input and tap.
    """

    forward: Arrays
    gradients: Gradients
    cotangents: Arrays


class Step(NamedTuple):
    """What one training step computed: loss and gradients before the update, and the state after it."""

    gradients: Gradients
    state: State


class LiveSide(Protocol):
    """One side that runs. `bits`, where given, rounds every recorded activation to that many mantissa bits."""

    dtype: Dtype
    loops: tuple[str, ...]
    drew: bool
    """Whether the side's own code has drawn random numbers of its own so far, which no other side can have."""
    changed: str
    """What of the settings that it runs under the side's own code has changed so far, a phrase; empty where nothing."""
    alone: str
    """What it alone holds and training changed, if its output in evaluation rests on that; empty where it does not."""

    @property
    def unmatched(self) -> frozenset[str]:
        """Layers of the torch side that no layer of this side stands for, and taps that cannot be seen here.

        None on the torch side itself.
        """

    @property
    def apart(self) -> frozenset[str]:
        """Arrays that the torch side holds and this side does not, such as counters; none on the torch side itself."""

    @property
    def remarks(self) -> Sequence[str]:
        """What else is to be told, a line each.

        On the JAX side what the weight map took for granted, and what it holds alone and whether a run changed it; on
        torch's that it gives other numbers in evaluation than its layers do.
        """

    @property
    def doubts(self) -> Sequence[str]:
        """What is to be told where something differs: how this side's dropouts may be others than torch's."""

    @property
    def idle(self) -> frozenset[str]:
        """Of `clip` and `scheduler` those that the side names and that have changed nothing so far; JAX names none.

        And `turn` where no step has shown the scheduler's last rule.
        """

    @property
    def frozen(self) -> frozenset[str]:
        """Parameters that the pair declares frozen, by torch's names.

        Raises:
            NotCheckable: a pattern means no parameter, or together they mean all.
        """

    @property
    def outline(self) -> Outline | None:
        """What the torch side's model is made of, which a weight map is found from; None where there is none."""

    @property
    def weight_map(self) -> WeightMap | None:
        """Between torch's names and layout and this side's; None on the torch side, and where parts of its own read it.

        Raises:
            NotCheckable: it cannot be found, or an override is wrong.
        """

    def provenance(self) -> Provenance:
        """Versions, device, dtype, matmul precision and 64-bit switch, as they really are while this side runs."""

    def initial(self, seed: int) -> Arrays:
        """The initial parameters as they come back out of the side's model, in the run's dtype."""

    def batches(self, seed: int, steps: int) -> Sequence[Batch]:
        """The batches of all steps, in NumPy, as the side draws them."""

    def seen(self, batch: Batch) -> Batch:
        """A batch as the framework holds it, read back."""

    def forward(self, parameters: Arrays, batch: Batch, bits: int | None = None) -> Arrays:
        """One pass forward with its layers, without a loss: the `forward` of an `Observation`."""

    def taught(self, parameters: Arrays, batch: Batch, given: Arrays) -> Arrays:
        """What comes to every call of a layer and what it gives, where each is handed what `given` has of it.

        So is whatever comes after it: what is found at one place says nothing of what was found before (teacher
        forcing).
        """

    def lowered(self, parameters: Arrays, batch: Batch) -> list[str]:
        """The places of a float64 pass, then its `output` and `loss`, before which there are numbers in fewer bits."""

    def operations(self, parameters: Arrays, batch: Batch) -> dict[str, bool]:
        """The operations of a pass that may change nothing, as a clamp, and whether they did; JAX tells of none."""

    def observe(
        self, parameters: Arrays, batch: Batch, bits: int | None = None, taught: Arrays | None = None
    ) -> Observation:
        """One pass with its layers. With `taught` as by the method of that name, gradients as if nothing had been."""

    def gradients(self, parameters: Arrays, batch: Batch, bits: int | None = None) -> Gradients:
        """One pass without its layers."""

    def update(self, state: State, gradients: Arrays) -> State:
        """The state after one step of the optimizer."""

    def run(self, parameters: Arrays, batches: Iterable[Batch]) -> Iterator[Step]:
        """Free-running training from fresh optimizer state, one model and one optimizer for the whole run."""

    def losses(self, parameters: Arrays, batches: Iterable[Batch]) -> list[float]:
        """The losses of the same training, with nothing else read back."""

    def predict(self, parameters: Arrays, batch: Batch) -> Arrays:
        """The model's output in evaluation mode: `output`, and where there are more `output1` and so on."""

    def scored(self, seed: int) -> dict[str, Batch]:
        """What to score on, by name."""

    def train(self, loop: str, seed: int, state: State | None, start: int, count: int) -> tuple[Array, State]:
        """The losses of `count` steps from `start` driven by one of the side's own loops, and the state at the end."""

    def missing(self, loop: str) -> str:
        """Why a loop cannot run on this machine; empty where it can."""


def parameters_moved(side: LiveSide, arrays: Arrays, move: Move) -> Arrays:
    """What a side holds, with its parameters moved and its buffers not: a moved mask or index is another network."""
    buffers = side.outline.buffers if side.outline else frozenset()
    return {name: arrays[name] if name in buffers else array for name, array in move(arrays).items()}


def live_side(side: Side, framework: Framework, dtype: Dtype, device: Device) -> LiveSide:
    """The side, ready to run. Imports its framework.

    Raises:
        MissingFramework: the framework is not installed.
        NotCheckable: a part cannot be imported, or the device is not there.
    """
    try:
        if framework == "torch":
            from parity.torch_side.live import TorchSide

            return TorchSide(side, dtype, device)
        from parity.jax_side.live import JaxSide

        return JaxSide(side, dtype, device)
    except ModuleNotFoundError as error:
        raise MissingFramework.of(framework, error.name) from error
