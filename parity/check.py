"""`check`: whether the two sides of a pair are the same network, and how sure that is."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache

from parity.errors import NotCheckable
from parity.judging.curves import curves
from parity.judging.difference import Scales, scales
from parity.judging.flips import Rejudge
from parity.judging.float32 import Float32, coarse_distances
from parity.judging.float64 import NoiseOf, compare_float64
from parity.judging.judge import (
    Lockstep,
    compare_null_in_lockstep,
    compare_with_cpu,
    judged_beyond_noise,
    rests_on_null,
)
from parity.judging.layers import Unshown, unshown
from parity.judging.loops import chosen, compare_loops_float32, compare_loops_float64
from parity.judging.noise import Noise
from parity.judging.power import multiplies_matrices
from parity.judging.score import compare_predictions
from parity.judging.summary import summarised
from parity.live import LiveSide, live_side
from parity.pair import Pair
from parity.recording import (
    DTYPES,
    FRAMEWORKS,
    OBSERVED_STEPS,
    Arrays,
    Device,
    Dtype,
    Framework,
    Key,
    Recording,
    keys_of,
)
from parity.rounding import COARSE_BITS
from parity.runs import Progress, free_run, lockstep
from parity.verdict import Comparison, Curves, Verdict

DEFAULT_LOOPS = ("stepped", "whole_run")


@dataclass
class Findings:
    """What a check has found so far; `parity.judging.summary` makes the verdict of it.

    `live` are the sides in float64, and `judge` is the torch side's recording. `unshown` is what one side alone can
    show. `lockstep` has the float64 comparisons of the free runs, and what of them was made in lockstep instead.
    `coarse` has the coarse distances for each dtype.
    """

    pair: Pair
    seed: int
    device: Device
    live: Mapping[Framework, LiveSide]
    dtypes: tuple[Dtype, ...] = DTYPES
    recordings: dict[Dtype, dict[Framework, Recording]] = field(default_factory=dict)
    runs: dict[str, Recording] = field(default_factory=dict)
    scales: Scales = field(default_factory=lambda: Scales({}, frozenset()))
    comparisons: list[Comparison] = field(default_factory=list)
    coarse: dict[Dtype, dict[Key, float]] = field(default_factory=dict)
    listed: list[str] = field(default_factory=list)
    unshown: Unshown = field(default_factory=Unshown)
    lockstep: Lockstep = field(default_factory=lambda: Lockstep([]))

    @property
    def judge(self) -> Recording:
        """The float64 recording that float32 is judged against."""
        return self.recordings["float64"]["torch"]

    @property
    def drew(self) -> list[Framework]:
        """The sides whose own code drew random numbers."""
        return [framework for framework, side in self.live.items() if side.drew]

    @property
    def differs(self) -> bool:
        """Whether anything has differed so far."""
        return any(comparison.outcome == "differ" for comparison in self.comparisons)


def check(
    pair: Pair, *, seed: int = 0, device: Device = "cpu", loops: Sequence[str] | None = DEFAULT_LOOPS,
    dtypes: Sequence[Dtype] = DTYPES, progress: Progress | None = None,
) -> Verdict:  # fmt: skip
    """Compare the two sides of a pair, first in float64, then in float32 against that judge.

    Args:
        pair: the two sides.
        seed: what data, initial parameters and batch order are drawn from; 0 or more.
        device: where both sides run.
        loops: which of the sides' own loops are driven; None: all.
        dtypes: what is compared: float64, alone or with float32, which is judged against it.
        progress: called with a short phrase at the beginning of each phase.

    Raises:
        NotCheckable: a framework, a part or the device is missing, a side's own code raised, or float64 is left out.
    """
    started = time.monotonic()
    tell = progress or (lambda _: None)
    if "float64" not in dtypes or set(dtypes) - set(DTYPES):
        raise NotCheckable(
            f"dtypes are {dtypes!r}: expected float64, alone or with float32, which is judged against it"
        )
    live = _live(pair, "float64", device)
    findings = Findings(pair, seed, device, live, tuple(dtype for dtype in DTYPES if dtype in dtypes))
    trains = "trajectory" in pair.stages
    names = chosen(live, loops) if trains else {"torch": {}, "jax": {}}
    _float64(findings, live, names, tell)
    curve = Curves({}, {})
    if not findings.differs and "float32" in findings.dtypes:
        live32 = _live(pair, "float32", device)
        _float32(findings, live, live32, names, tell)
        if trains and not findings.differs:
            tell("free-running float32 curves")
            curve = curves(live32, seed, pair.steps)
    return summarised(findings, live, names, curve, time.monotonic() - started)


def _live(pair: Pair, dtype: Dtype, device: Device) -> dict[Framework, LiveSide]:
    return {framework: live_side(pair.side(framework), framework, dtype, device) for framework in FRAMEWORKS}


def _float64(
    findings: Findings, live: dict[Framework, LiveSide], names: dict[Framework, dict[str, str]], tell: Progress
) -> None:
    seed, steps = findings.seed, findings.pair.steps
    sides: dict[Framework, Recording] = {}
    for framework in FRAMEWORKS:
        tell(f"float64, {framework}: {steps} steps")
        sides[framework] = free_run(live[framework], seed, steps, stages=findings.pair.stages)
    findings.recordings["float64"] = sides
    findings.unshown = unshown(sides, live["jax"].unmatched, live["jax"].apart)
    findings.listed += findings.unshown.listed
    findings.scales = scales(list(sides.values()))
    noise_of = _float64_noise(findings, live, tell)
    free = [
        key for key in keys_of(*sides.values())
        if key.tensor not in findings.unshown.tensors and not rests_on_null(key, findings.judge, findings.scales)
    ]  # fmt: skip
    compared = compare_float64(sides["torch"], sides["jax"], findings.scales, noise_of, keys=free)
    findings.lockstep = judged_beyond_noise(compared, live, findings.judge, findings.scales, noise_of, seed, steps)
    findings.comparisons += findings.lockstep.comparisons
    findings.listed += [findings.lockstep.listed] if findings.lockstep.listed else []
    findings.comparisons += compare_null_in_lockstep(findings.judge, live["jax"], findings.scales, seed, steps)
    if findings.device == "gpu":
        tell("float64, torch: the same run on the CPU")
        findings.comparisons += compare_with_cpu(findings.pair, findings.judge, findings.scales, noise_of, seed)
    _predictions(findings, "float64", {None: findings.lockstep.run or sides["jax"]})
    found, findings.runs = compare_loops_float64(
        live, names, findings.judge, findings.scales, noise_of, seed, steps, tell
    )
    findings.comparisons += found
    tell("float64: one precision lower, for its power")
    findings.coarse["float64"] = _coarse(findings, live["torch"], "float64")


def _coarse(findings: Findings, judging: LiveSide, dtype: Dtype) -> dict[Key, float]:
    steps = min(findings.pair.steps, OBSERVED_STEPS)
    run = lockstep(judging, findings.judge, findings.seed, steps, bits=COARSE_BITS[dtype])
    return coarse_distances(findings.judge, run, findings.scales)


def _float64_noise(findings: Findings, live: dict[Framework, LiveSide], tell: Progress) -> NoiseOf:
    @cache
    def noise_of(framework: Framework, steps: int | None) -> Noise:
        def rerun(move: Callable[[Arrays], Arrays]) -> Recording:
            tell(f"float64, {framework}: noise")
            initial = move(live[framework].initial(findings.seed))
            pair = findings.pair
            return free_run(
                live[framework], findings.seed, steps or pair.steps, initial, stages=pair.stages, data=False
            )

        base = findings.recordings["float64"][framework]
        return Noise(base, rerun, findings.scales, findings.seed)

    return noise_of


def _float32(
    findings: Findings, judging: dict[Framework, LiveSide], live: dict[Framework, LiveSide],
    names: dict[Framework, dict[str, str]], tell: Progress,
) -> None:  # fmt: skip
    seed, steps, judge = findings.seed, findings.pair.steps, findings.judge
    if multiplies_matrices(judge):
        tell("float32: the coarse distance")
        findings.coarse["float32"] = _coarse(findings, judging["torch"], "float32")
    sides: dict[Framework, Recording] = {}
    for framework in FRAMEWORKS:
        tell(f"float32, {framework}: {steps} steps in lockstep with the judge")
        sides[framework] = lockstep(live[framework], judge, seed, steps, data=True)
    findings.recordings["float32"] = sides

    def noise_of(framework: Framework) -> Noise:
        def rerun(move: Callable[[Arrays], Arrays]) -> Recording:
            tell(f"float32, {framework}: noise")
            return lockstep(live[framework], judge, seed, steps, move=move)

        return Noise(sides[framework], rerun, findings.scales, seed)

    float32 = Float32(
        judge, findings.scales, findings.coarse.get("float32", {}), noise_of, unshown=findings.unshown.tensors
    )
    float32.rejudge = Rejudge(float32, judging["torch"], live, judging["torch"].batches(seed, steps), seed)
    found = float32.compare(sides)
    findings.comparisons += found
    _predictions(findings, "float32", {framework: sides[framework] for framework in FRAMEWORKS})
    findings.comparisons += compare_loops_float32(live, names, float32, seed, steps, tell)
    _list(findings, float32, found)


def _predictions(findings: Findings, dtype: Dtype, sides: dict[Framework | None, Recording]) -> None:
    """Compare the classes that each side gives: float64 side with side, float32 with the judge."""
    if findings.pair.labels is None:
        return
    for framework, recording in sides.items():
        for tensor, output in recording.of("score", 0).items():
            name = tensor.removesuffix(".output")
            expected = findings.judge.of("score", 0).get(tensor)
            if expected is None:
                continue  # already reported as missing on one side
            comparison, accepted = compare_predictions(name, expected, output, dtype, framework)
            findings.comparisons.append(comparison)
            if accepted:
                findings.listed.append(f"{dtype}, {framework}: {accepted} predictions on {name} flip within rounding")


def _list(findings: Findings, float32: Float32, found: list[Comparison]) -> None:
    findings.listed += [
        f"float32, {c.side}, {c.key}: {c.note}" for c in found if c.outcome == "agree" and "flipped" in c.note
    ]
    tensors = dict.fromkeys(f"{key.stage} {key.tensor}" for key in sorted(float32.without_power, key=Key.flow))
    findings.listed += [f"float32: no power in {tensor}: judged without the cap" for tensor in tensors]
    findings.listed += [f"null gradient: {stage} {tensor}" for stage, tensor in sorted(findings.scales.null)]
