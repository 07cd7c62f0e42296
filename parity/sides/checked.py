"""What a check asks of one side, whether it runs or was recorded."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol

from parity.judging.distance.difference import Scales
from parity.judging.distance.noise import Noise
from parity.recording import Dtype, Key, Recording


class Curve(NamedTuple):
    """The losses of a free-running float32 training, and the noise band around them."""

    losses: list[float]
    band: list[float]


class CheckedSide(Protocol):
    """One side of a check. `loops` are those that it has, `judge` the float64 recording that it is judged against.

    `unmatched`, `apart`, `drew` and `remarks` are those of `parity.sides.live.LiveSide`, and so is `idle`, with the
    `operations` that changed nothing in any step.
    """

    loops: tuple[str, ...]

    @property
    def unmatched(self) -> frozenset[str]:
        """Layers of the torch side that no layer of this side stands for."""

    @property
    def apart(self) -> frozenset[str]:
        """Arrays that the torch side holds and this side does not."""

    @property
    def drew(self) -> bool:
        """Whether the side's own code has drawn random numbers of its own so far."""

    @property
    def remarks(self) -> Sequence[str]:
        """What else is to be told of how this side's arrays stand for torch's, a line each."""

    @property
    def idle(self) -> frozenset[str]:
        """Of `clip` and `scheduler` those that have changed nothing so far, and such operations: `relu in fc1`."""

    def missing(self, loop: str) -> str:
        """Why a loop cannot be driven; empty where it can."""

    def free(self) -> Recording:
        """Its free-running training in float64."""

    def sizes(self) -> dict[Key, float]:
        """The largest absolute value of every tensor of that training, also where the tensor itself is not kept."""

    def free_noise(self, scales: Scales, until: int | None) -> Noise:
        """Its noise over that training, up to the step `until`; None: over all of it."""

    def on_cpu(self) -> Recording:
        """The same training on the CPU; asked only of a judge on another device."""

    def driven(self, loop: str) -> Recording:
        """What one of its own loops gives back of all steps, in float64."""

    def coarse(self, dtype: Dtype, judge: Recording, scales: Scales) -> dict[Key, float]:
        """The coarse distances of a dtype; asked only of the judge's side."""

    def lockstep64_noise(self, base: Recording, judge: Recording, scales: Scales) -> Noise:
        """Its noise in float64 steps, each from the judge's state, of which `base` is the recording."""

    def lockstep(self, judge: Recording) -> Recording:
        """Its float32 steps, each from the judge's state."""

    def lockstep_noise(self, base: Recording, judge: Recording, scales: Scales) -> Noise:
        """Its noise in these steps, of which `base` is the recording."""

    def loop_step(self, loop: str, start: int, judge: Recording) -> Recording:
        """One float32 step of a loop from the judge's state before the step `start`."""

    def loop_step_noise(self, base: Recording, loop: str, start: int, judge: Recording, scales: Scales) -> Noise:
        """Its noise in that step, of which `base` is the recording."""

    def curve(self) -> Curve:
        """Its free-running training in float32."""

    def flipped(self) -> dict[Key, Sequence[float]]:
        """What `Rejudge.recorded` has of a side that does not run; nothing of one that does."""
