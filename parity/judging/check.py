"""`check`: whether the two sides of a pair are the same network, and how sure that is."""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping, Sequence
from functools import cache

from parity.arrays.stirred import never_stirred
from parity.errors import NotCheckable
from parity.judging.distance.difference import scales_of
from parity.judging.distance.noise import Noise
from parity.judging.findings import Findings
from parity.judging.passes.by_float32 import judged_by_float32, judged_with_cpu
from parity.judging.passes.flips import Rejudge
from parity.judging.passes.float32 import Float32
from parity.judging.passes.float64 import NoiseOf, compare_float64
from parity.judging.passes.inside import inside
from parity.judging.passes.judge import (
    Lockstep,
    compare_null_in_lockstep,
    compare_with_cpu,
    completed,
    judged_beyond_noise,
    rests_on_null,
)
from parity.judging.passes.loops import chosen, compare_loops_float32, compare_loops_float64
from parity.judging.passes.own_activations import AGAIN, AtOwnActivations
from parity.judging.score import compare_predictions, labelled
from parity.judging.summary import summarised
from parity.judging.unseen.counters import without_counters
from parity.judging.unseen.frozen import compare_frozen, without_frozen
from parity.judging.unseen.hidden import hidden
from parity.judging.unseen.idle import idle_in_words
from parity.judging.unseen.layers import unshown
from parity.judging.unseen.memory import never_used
from parity.judging.unseen.shaped import before_differences
from parity.judging.where.parting import parting
from parity.pair.dtypes import dtypes_fault
from parity.pair.pair import Pair
from parity.recording import (
    DTYPES,
    FRAMEWORKS,
    USUAL_LOOPS,
    Device,
    Dtype,
    Framework,
    Key,
    Recording,
    keys_of,
)
from parity.sides.running import Running
from parity.sides.runs import Progress
from parity.verdict import Comparison, Curves, Verdict


def check(
    pair: Pair, *, seed: int = 0, device: Device = "cpu", loops: Sequence[str] | None = USUAL_LOOPS,
    dtypes: Sequence[Dtype] | None = None, progress: Progress | None = None,
) -> Verdict:  # fmt: skip
    """Compare the two sides of a pair, first in float64, then in float32 and in bfloat16 against that judge.

    Args:
        pair: the two sides.
        seed: what data, initial parameters and batch order are drawn from; 0 or more.
        device: where both sides run.
        loops: which of the sides' own loops are driven; None: all.
        dtypes: what is compared: float64, alone or with those that are judged against it; None: what the pair declares.
        progress: called with a short phrase at the beginning of each phase.

    Raises:
        NotCheckable: a framework, a part or the device is missing, a side's own code raised, float64 is left out, or
            bfloat16 is asked of a side with loops.
    """
    dtypes = pair.dtypes if dtypes is None else dtypes
    if fault := dtypes_fault(dtypes, {*pair.torch.loops, *pair.jax.loops}):
        raise NotCheckable(fault)
    tell = progress or silent
    sides = {framework: Running(pair, framework, seed, device, tell) for framework in FRAMEWORKS}
    asked = tuple(dtype for dtype in DTYPES if dtype in dtypes)
    return verdict_on(Findings(pair, seed, device, sides, dtypes=asked), loops, tell)


def silent(_: str) -> None:
    """Tell nobody what is going on."""


def verdict_on(findings: Findings, loops: Sequence[str] | None, tell: Progress) -> Verdict:
    """The verdict on the two sides of the findings, which are empty so far.

    Raises:
        NotCheckable: as `check` does.
    """
    started = time.monotonic()
    findings.labelled = labelled(findings)
    trains = "trajectory" in findings.pair.stages
    names = chosen(findings.sides, loops) if trains else {"torch": {}, "jax": {}}
    _float64(findings, names, tell)
    curves = Curves({}, {})
    parting(findings, tell)
    null = [] if findings.differs else _null(findings)
    if not findings.differs and "float32" in findings.dtypes:
        _float32(findings, names, tell)
        if trains and not findings.differs:
            tell("free-running float32 curves")
            shown = {framework: side.curve() for framework, side in findings.sides.items()}
            curves = Curves({fw: found.losses for fw, found in shown.items()}, {fw: c.band for fw, c in shown.items()})
    findings.listed += null
    if not findings.differs and "bfloat16" in findings.dtypes:
        _bfloat16(findings)
    return summarised(findings, names, curves, time.monotonic() - started)


def _float64(findings: Findings, names: dict[Framework, dict[str, str]], tell: Progress) -> None:
    sides, judging, other = findings.sides, findings.judging, findings.other
    findings.recordings["float64"] = free = {framework: side.free() for framework, side in sides.items()}
    findings.scales = scales_of([side.sizes() for side in sides.values()])

    @cache
    def noise_of(framework: Framework, until: int | None) -> Noise:
        return sides[framework].free_noise(findings.scales, until)

    _note_unshown(findings, free)
    free[judging] = judge = completed(findings.judge, free[other], findings.unshown.tensors)
    findings.inside = inside(findings.pair.float32_inside, free["torch"], findings.unshown.tensors)
    findings.listed += findings.inside.listed
    keys = [key for key in keys_of(*free.values()) if key.tensor not in findings.unshown.tensors]
    findings.comparisons += compare_frozen(free, findings.frozen, "float64")
    if findings.inside.layers:
        _coarse32(findings, tell)
        findings.lockstep = judged_by_float32(findings, keys)
    else:
        keys = [key for key in keys if not rests_on_null(key, judge, findings.scales)]
        compared = compare_float64(free["torch"], free["jax"], findings.scales, noise_of, keys=keys)
        findings.lockstep = _beyond_noise(findings, compared, noise_of)
    findings.comparisons += _with_shapes(findings, free, noise_of)
    findings.listed += [findings.lockstep.listed] if findings.lockstep.listed else []
    findings.hidden = hidden(findings)
    _of_the_judge(findings, noise_of)
    _predictions(findings, "float64", {None: findings.lockstep.run or free[other]})
    found, findings.runs = compare_loops_float64(
        sides, names, judge, findings.scales, noise_of, findings.pair.steps, findings.unshown.tensors
    )
    findings.comparisons += found
    if not findings.differs:
        noise_of.cache_clear()
        _let_go(findings)
    tell("float64: one precision lower, for its power")
    findings.coarse["float64"] = sides[judging].coarse("float64", judge, findings.scales)


def _with_shapes(findings: Findings, free: Mapping[Framework, Recording], noise_of: NoiseOf) -> list[Comparison]:
    """What was compared, and what has another shape on each side before a difference, in the order of the flow."""
    compared, torch = findings.lockstep.comparisons, free["torch"]
    keys = before_differences(findings.unshown.shaped, torch, compared)
    if not keys:
        return compared
    place = {key: index for index, key in enumerate(keys_of(*free.values()))}
    found = compare_float64(torch, free["jax"], findings.scales, noise_of, keys=keys)
    return sorted([*found, *compared], key=lambda c: place.get(c.key, len(place)))


def _note_unshown(findings: Findings, free: dict[Framework, Recording]) -> None:
    """What only one side can show, what torch's side did not show, and what the weight map took for granted."""
    remarks: Sequence[str] = ()
    idle: Collection[str] = ()
    if not (findings.against and findings.against.names):
        # Two sides of one framework divide the network alike, and hold the same.
        torch, jax = (findings.sides[side] for side in FRAMEWORKS)
        idle = torch.idle  # asked before anything else runs
        remarks, scheduled = [*torch.remarks, *jax.remarks], findings.pair.torch.scheduler is not None
        findings.unshown = without_counters(unshown(free, jax.unmatched, jax.apart), free, scheduled=scheduled)
    findings.unshown = without_frozen(findings.unshown, findings.frozen, free)
    findings.unseen += idle_in_words(idle, findings.pair.steps, optimizer=findings.has_own_optimizer)
    findings.unseen += never_stirred(findings.judge, findings.pair.steps)
    findings.unseen += never_used(findings.judge, findings.pair.steps) if findings.has_own_optimizer else []
    findings.listed += [*findings.unshown.listed, *remarks]


def _let_go(findings: Findings) -> None:
    """Forget the run that agrees with the judge, but for what was scored: it may be gigabytes, and says no more."""
    other = findings.other
    run = findings.recordings["float64"][other]
    scored = {place: group for place, group in run.groups.items() if place[0] == "score"}
    findings.recordings["float64"][other] = Recording(run.provenance, scored)
    if other in findings.running:
        findings.running[other].forget()


def _of_the_judge(findings: Findings, noise_of: NoiseOf) -> None:
    """What makes the float64 run a judge beyond the agreement of two free-running sides."""
    judge, judging = findings.judge, findings.judging
    if not findings.inside.layers:
        findings.comparisons += compare_null_in_lockstep(
            judge, judging, lambda: findings.running[findings.other].lockstep64(judge), findings.scales
        )
    if findings.device == "gpu":
        cpu = findings.sides[judging].on_cpu()
        findings.comparisons += (
            judged_with_cpu(findings, cpu, noise_of) if findings.inside.layers
            else compare_with_cpu(judge, cpu, findings.scales, noise_of)
        )  # fmt: skip


def _coarse32(findings: Findings, tell: Progress) -> None:
    if "float32" not in findings.coarse:
        tell("float32: the coarse distance")
        side = findings.sides[findings.judging]
        findings.coarse["float32"] = side.coarse("float32", findings.judge, findings.scales)


def _beyond_noise(findings: Findings, compared: list[Comparison], noise_of: NoiseOf) -> Lockstep:
    """What the noise of the free runs leaves nothing to be judged in, judged in lockstep with the judge."""
    judge, judging, other = findings.judge, findings.judging, findings.other

    @cache
    def run() -> Recording:
        return findings.running[other].lockstep64(judge)

    @cache
    def lockstep_noise_of(framework: Framework) -> Noise:
        base = judge if framework == judging else run()
        return findings.sides[framework].lockstep64_noise(base, judge, findings.scales)

    return judged_beyond_noise(
        compared, findings.recordings["float64"], judging, findings.scales, noise_of, lockstep_noise_of, run
    )


def _float32(findings: Findings, names: dict[Framework, dict[str, str]], tell: Progress) -> None:
    sides, judge = findings.sides, findings.judge
    _coarse32(findings, tell)
    stepped = {framework: side.lockstep(judge) for framework, side in sides.items()}
    findings.recordings["float32"] = stepped

    def noise_of(framework: Framework) -> Noise:
        return sides[framework].lockstep_noise(stepped[framework], judge, findings.scales)

    float32 = Float32(
        judge, findings.scales, findings.coarse.get("float32", {}), noise_of, unshown=findings.unshown.tensors
    )
    float32.rejudge = _rejudge(findings, float32)
    findings.comparisons += compare_frozen(stepped, findings.frozen, "float32")
    found = float32.compare(stepped)
    findings.comparisons += found
    _predictions(findings, "float32", {framework: stepped[framework] for framework in FRAMEWORKS})
    findings.comparisons += compare_loops_float32(sides, names, float32, findings.pair.steps, tell)
    _list_flips(findings, found)
    findings.listed += float32.listed("float32")


def _bfloat16(findings: Findings) -> None:
    running, judge = findings.running, findings.judge
    stepped = {framework: side.lockstep(judge, "bfloat16") for framework, side in running.items()}
    findings.recordings["bfloat16"] = stepped

    def noise_of(framework: Framework) -> Noise:
        return running[framework].lockstep_noise(stepped[framework], judge, findings.scales)

    rule = Float32(judge, findings.scales, {}, noise_of, unshown=findings.unshown.tensors, dtype="bfloat16")
    sides = findings.live("bfloat16")
    judging = running[findings.judging].float64
    rule.rejudge = AtOwnActivations(rule, judging, sides, judging.batches(findings.seed, findings.pair.steps))
    findings.comparisons += compare_frozen(stepped, findings.frozen, "bfloat16")
    found = rule.compare(stepped)
    findings.comparisons += found
    if again := sum(c.outcome == "agree" and c.cause == "own activations" for c in found):
        findings.listed.append(f"bfloat16: {again} of {len(found)} comparisons: {AGAIN}")
    _predictions(findings, "bfloat16", {framework: stepped[framework] for framework in FRAMEWORKS})
    null = dict.fromkeys(f"{stage} {tensor}" for stage, tensor in sorted(findings.scales.ever_null))
    findings.listed += [f"bfloat16: not judged: the null gradient {tensor}" for tensor in null]


def _rejudge(findings: Findings, float32: Float32) -> Rejudge:
    running = findings.running
    asked = running.get(findings.judging) or running[findings.other]
    sides = findings.live("float32")
    batches = asked.float64.batches(findings.seed, findings.pair.steps)
    recorded = {key: row for side in findings.sides.values() for key, row in side.flipped().items()}
    return Rejudge(float32, asked.float64, sides, batches, findings.seed, recorded)


def _predictions(findings: Findings, dtype: Dtype, sides: dict[Framework | None, Recording]) -> None:
    """Compare the classes that each side gives: float64 side with side, the others with the judge."""
    for framework, recording in sides.items():
        for name, batch in findings.labelled.items():
            key = Key("score", 0, f"{name}.{batch.output}")
            expected, output = findings.judge.get(key), recording.get(key)
            if expected is None or output is None:
                continue  # already reported as missing on one side
            exactly = dtype == "float64" and not findings.inside.layers
            comparison, accepted = compare_predictions(
                name, batch, expected, output, dtype, framework, exactly=exactly
            )  # fmt: skip
            findings.comparisons.append(comparison)
            if accepted:
                where = f"{dtype}, {framework}" if framework else dtype
                findings.listed.append(f"{where}: {accepted} predictions on {name} flip within rounding")


def _list_flips(findings: Findings, found: list[Comparison]) -> None:
    findings.listed += [
        f"float32, {c.side}, {c.key}: {c.note}" for c in found if c.outcome == "agree" and c.cause == "flip"
    ]


def _null(findings: Findings) -> list[str]:
    scales, unshown = findings.scales, findings.unshown.tensors
    return [
        f"{what}: {stage} {tensor}"
        for what, found in (
            ("null gradient", scales.null), ("null gradient in the first steps", scales.begins_null),
        )
        for stage, tensor in sorted(found) if tensor not in unshown
    ]  # fmt: skip
