"""A side that runs, asked what a check wants to know of it."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property, partial
from typing import Any

from parity.arrays.rounding import COARSE_BITS, cast
from parity.golden.kept import Kept
from parity.judging.distance.difference import Scales, sizes
from parity.judging.distance.drift import Drift
from parity.judging.distance.noise import Noise
from parity.judging.passes.curves import curve
from parity.judging.passes.float32 import coarse_distances
from parity.judging.passes.loops import ENGINE
from parity.pair.pair import Pair
from parity.recording import Device, Dtype, Framework, Key, Recording, State
from parity.sides.checked import Curve
from parity.sides.live import LiveSide, Move, live_side, parameters_moved
from parity.sides.runs import Progress, coarse_run, engine_step, free_run, idle_operations, lockstep, loop_run


class Running:
    """One side of a pair, ready to run in each dtype: what `parity.sides.checked.CheckedSide` asks, from runs.

    Args:
        pair: the pair.
        framework: which of its sides.
        seed: of every run.
        device: where it runs.
        tell: is told each phase.
        kept: what there is of a recorded side, so that no more is asked of this one; None: everything.

    Raises:
        NotCheckable: a framework, a part or the device is missing.
    """

    def __init__(
        self, pair: Pair, framework: Framework, seed: int, device: Device, tell: Progress,
        kept: Kept | None = None,
    ) -> None:  # fmt: skip
        self.framework, self._pair, self._seed, self._device, self._tell = framework, pair, seed, device, tell
        self.kept = kept
        self._live: dict[Dtype, LiveSide] = {}
        self.loops = self.float64.loops

    def live(self, dtype: Dtype) -> LiveSide:
        """The side in a dtype, made when it is first asked for."""
        if dtype not in self._live:
            self._live[dtype] = self._made(dtype, self._device)
        return self._live[dtype]

    def _made(self, dtype: Dtype, device: Device) -> LiveSide:
        return live_side(self._pair.side(self.framework), self.framework, dtype, device)

    @property
    def float64(self) -> LiveSide:
        """The side in float64, which most is asked of."""
        return self.live("float64")

    @property
    def unmatched(self) -> frozenset[str]:
        return self.float64.unmatched

    @property
    def apart(self) -> frozenset[str]:
        return self.float64.apart

    @property
    def remarks(self) -> Sequence[str]:
        return self.float64.remarks

    @property
    def drew(self) -> bool:
        return self.float64.drew

    @property
    def changed(self) -> str:
        """What of its settings its own code has changed in any dtype so far, a phrase; empty where nothing."""
        return next((live.changed for live in self._live.values() if live.changed), "")

    @property
    def idle(self) -> frozenset[str]:
        return self.float64.idle | idle_operations(self.float64, self.whole, self._seed, self._pair.steps)

    def missing(self, loop: str) -> str:
        return self.float64.missing(loop)

    @cached_property
    def whole(self) -> Recording:
        """The free-running training in float64, every step of it."""
        self._tell(f"float64, {self.framework}: {self._pair.steps} steps")
        return self._free(self.float64)

    def forget(self) -> None:
        """Let go of `whole`; who asks for it again has the run made again."""
        self.__dict__.pop("whole", None)

    def _free(self, live: LiveSide) -> Recording:
        return free_run(live, self._seed, self._pair.steps, stages=self._pair.stages)

    def free(self) -> Recording:
        return self._kept_of(self.whole)

    def sizes(self) -> dict[Key, float]:
        return sizes(self.whole)

    def free_noise(self, scales: Scales, until: int | None) -> Noise:
        return Noise(self.whole, partial(self.free_moved, until=until), scales, self._seed)

    def free_moved(self, move: Move, into: Recording, until: int | None = None) -> Recording:
        """The same training from parameters that were moved."""
        self._tell(f"float64, {self.framework}: noise")
        initial, steps = self.float64.initial(self._seed), until or self._pair.steps
        initial = parameters_moved(self.float64, initial, move)
        return free_run(self.float64, self._seed, steps, initial, stages=self._pair.stages, data=False, into=into)

    def on_cpu(self) -> Recording:
        self._tell(f"float64, {self.framework}: the same run on the CPU")
        return self._kept_of(self._free(self._made("float64", "cpu")))

    def driven(self, loop: str) -> Recording:
        self._tell(f"float64, {self.framework}: loop {loop}")
        return loop_run(self.float64, loop, self._seed, 0, self._pair.steps, None)

    def coarse(self, dtype: Dtype, judge: Recording, scales: Scales) -> dict[Key, float]:
        drift = Drift(judge)
        coarse_run(self.float64, judge, self._seed, self._pair.steps, COARSE_BITS[dtype], drift)
        return coarse_distances(drift.apart, scales)

    def _lockstep(self, live: LiveSide, judge: Recording, **others: Any) -> Recording:
        only = None if self.kept is None else self.kept.steps
        return lockstep(live, judge, self._seed, self._pair.steps, only=only, **others)

    def _aside(self, move: Move) -> Move:
        return partial(parameters_moved, self.float64, move=move)

    def _kept_of(self, recording: Recording) -> Recording:
        return recording if self.kept is None else self.kept.of(recording, self._pair.steps)

    def lockstep64(self, judge: Recording) -> Recording:
        """The float64 steps, each from the judge's state."""
        return self._kept_of(self._lockstep(self.float64, judge))

    def lockstep64_noise(self, base: Recording, judge: Recording, scales: Scales) -> Noise:
        return Noise(base, partial(self.lockstep64_moved, judge), scales, self._seed)

    def lockstep64_moved(self, judge: Recording, move: Move, into: Recording) -> Recording:
        """The float64 steps, each from the judge's state whose parameters were moved."""
        self._tell(f"float64, {self.framework}: noise in lockstep")
        return self._lockstep(self.float64, judge, move=self._aside(move), into=into)

    def lockstep(self, judge: Recording, dtype: Dtype = "float32") -> Recording:
        self._tell(f"{dtype}, {self.framework}: {self._pair.steps} steps in lockstep with the judge")
        return self._kept_of(self._lockstep(self.live(dtype), judge, data=True))

    def lockstep_noise(self, base: Recording, judge: Recording, scales: Scales) -> Noise:
        dtype = base.provenance.dtype
        return Noise(base, partial(self.lockstep_moved, judge, dtype=dtype), scales, self._seed)

    def lockstep_moved(self, judge: Recording, move: Move, into: Recording, dtype: Dtype = "float32") -> Recording:
        """The float32 steps, or those in another dtype, each from the judge's state whose parameters were moved."""
        self._tell(f"{dtype}, {self.framework}: noise")
        return self._lockstep(self.live(dtype), judge, move=self._aside(move), into=into)

    def loop_step(
        self, loop: str, start: int, judge: Recording, move: Move | None = None, into: Recording | None = None
    ) -> Recording:
        state = judge.state_before(start)
        parameters = cast(state.parameters, "float32")
        if move is not None:
            parameters = parameters_moved(self.float64, parameters, move)
        given = State(parameters, cast(state.optimizer, "float32"))
        if loop == ENGINE:
            return engine_step(self.live("float32"), self._seed, start, given, into)
        return loop_run(self.live("float32"), loop, self._seed, start, 1, given, into)

    def loop_step_noise(self, base: Recording, loop: str, start: int, judge: Recording, scales: Scales) -> Noise:
        return Noise(base, partial(self.loop_step, loop, start, judge), scales, self._seed)

    def curve(self) -> Curve:
        return curve(self.live("float32"), self._seed, self._pair.steps)

    def flipped(self) -> dict[Key, Sequence[float]]:
        return {}
