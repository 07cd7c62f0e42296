"""What a check has found so far."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from parity.judging.distance.difference import Scales
from parity.judging.passes.inside import Inside
from parity.judging.passes.judge import Lockstep
from parity.judging.score import Labelled
from parity.judging.unseen.layers import Unshown
from parity.judging.where.casts import Casts
from parity.pair.pair import Pair
from parity.recording import OTHER, USUAL_DTYPES, Device, Dtype, Framework, Key, Recording
from parity.sides.checked import CheckedSide
from parity.sides.live import LiveSide
from parity.sides.running import Running
from parity.verdict import Against, Comparison, Start


@dataclass
class Findings:
    """What a check has found so far; `parity.judging.summary` makes the verdict of it.

    `against` tells of a side that is recorded. `unseen` has a line for each thing that no step tried, `listed` one for
    each that passed under a special rule. `unshown` is what one side alone can show, `starts` where differences
    start. `casts` is what computes in float32 in float64 although `inside`, what the pair declares, does not have it.
    `lockstep` has the float64 comparisons of the free runs, and what of them was made in lockstep instead. `coarse` has
    the coarse distances for each dtype, `labelled` the labels of each scored batch. `hidden` is why agreement in
    lockstep proves nothing, empty where it does.
    """

    pair: Pair
    seed: int
    device: Device
    sides: Mapping[Framework, CheckedSide]
    against: Against | None = None
    dtypes: tuple[Dtype, ...] = USUAL_DTYPES
    recordings: dict[Dtype, dict[Framework, Recording]] = field(default_factory=dict)
    runs: dict[str, Recording] = field(default_factory=dict)
    scales: Scales = field(default_factory=lambda: Scales({}, frozenset()))
    comparisons: list[Comparison] = field(default_factory=list)
    coarse: dict[Dtype, dict[Key, float]] = field(default_factory=dict)
    listed: list[str] = field(default_factory=list)
    unseen: list[str] = field(default_factory=list)
    unshown: Unshown = field(default_factory=Unshown)
    starts: list[Start] = field(default_factory=list)
    casts: Casts = field(default_factory=dict)
    inside: Inside = field(default_factory=Inside)
    lockstep: Lockstep = field(default_factory=lambda: Lockstep([]))
    labelled: dict[str, Labelled] = field(default_factory=dict)
    hidden: str = ""

    @property
    def judging(self) -> Framework:
        """The side whose float64 recording is the judge: the one that is recorded, and torch where both run."""
        return self.against.recorded if self.against else "torch"

    @property
    def other(self) -> Framework:
        """The side that is held against the judge."""
        return OTHER[self.judging]

    @property
    def judge(self) -> Recording:
        """The float64 recording that float32 is judged against."""
        return self.recordings["float64"][self.judging]

    @property
    def running(self) -> dict[Framework, Running]:
        """The sides that run: both, or the one that is not recorded."""
        return {framework: side for framework, side in self.sides.items() if isinstance(side, Running)}

    def live(self, dtype: Dtype) -> dict[Framework, LiveSide]:
        """The sides that run, in a dtype."""
        return {framework: side.live(dtype) for framework, side in self.running.items()}

    @property
    def frozen(self) -> frozenset[str]:
        """Parameters that the pair declares frozen and that both sides hold."""
        running = next(iter(self.running.values()))
        return running.float64.frozen - self.unshown.tensors

    @property
    def has_own_optimizer(self) -> bool:
        """Whether torch's optimizer is held against one, or an update by hand, that the JAX side names itself."""
        one_framework = self.against is not None and self.against.names
        named = self.pair.jax.optimizer is not None or self.pair.jax.update is not None
        return "trajectory" in self.pair.stages and named and not one_framework

    @property
    def drew(self) -> list[Framework]:
        """The sides whose own code drew random numbers."""
        return [framework for framework, side in self.sides.items() if side.drew]

    @property
    def differs(self) -> bool:
        """Whether anything has differed so far."""
        return any(comparison.outcome == "differ" for comparison in self.comparisons)
