"""The float64 pass of a pair that declares layers which compute in float32: what rests on them, by float32's rule.

Training from there on is as chaotic as float32's is: an optimizer such as Adam makes whole steps of what the rounding
of a layer leaves in a gradient. So every step is taken in lockstep with the judge, as float32's are.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from functools import cache
from math import isfinite
from typing import TYPE_CHECKING

import numpy as np

from parity.judging.distance.difference import BIT_EXACT
from parity.judging.distance.noise import Noise
from parity.judging.passes.flips import Rejudge
from parity.judging.passes.float32 import Float32, without_cap
from parity.judging.passes.float64 import NoiseOf, compare_float64, compare_one
from parity.judging.passes.judge import BEFORE_UPDATES, ON_CPU, Lockstep, taken
from parity.recording import OTHER, Array, Framework, Key, Recording, keys_of
from parity.verdict import Comparison

if TYPE_CHECKING:
    from parity.judging.findings import Findings


def judged_by_float32(findings: Findings, keys: Iterable[Key]) -> Lockstep:
    """Both sides in lockstep: within float64's limit what no declared layer reaches, by float32's rule what follows."""
    judge, judging, other = findings.judge, findings.judging, findings.other
    run = findings.running[other].lockstep64(judge)
    given = {
        place: group for place, group in findings.recordings["float64"][other].groups.items() if place[0] in BIT_EXACT
    }
    stepped = {judging: judge, other: Recording(run.provenance, run.groups | given)}

    @cache
    def noise_of(framework: Framework, _: int | None) -> Noise:
        return findings.sides[framework].lockstep64_noise(stepped[framework], judge, findings.scales)

    there = taken(keys, *stepped.values())
    tight = [key for key in there if not findings.inside.holds(key)]
    found = compare_float64(stepped["torch"], stepped["jax"], findings.scales, noise_of, keys=tight)
    float32 = _rule(findings)
    if findings.against is None and all(c.outcome == "agree" for c in found):
        float32.rejudge = _rejudge(findings, float32)
    wide = [key for key in there if findings.inside.holds(key)]
    found += compare_by_float32(float32, stepped["torch"], stepped["jax"], judging, wide)
    findings.listed += float32.listed("float64")
    return Lockstep(found, frozenset(key for key in there if key.stage not in BIT_EXACT), run)


def _rule(findings: Findings) -> Float32:
    """Float32's rule for the float64 run. The yardstick is the noise of the judge's side in float32, and a few eps."""
    judge = findings.judge

    def noise_of(framework: Framework) -> Noise:
        side = findings.sides[framework]
        return side.lockstep_noise(side.lockstep(judge), judge, findings.scales)

    return Float32(judge, findings.scales, findings.coarse.get("float32", {}), noise_of)


def _rejudge(findings: Findings, float32: Float32) -> Rejudge:
    judging, other = findings.judging, findings.other
    live = findings.live("float64")
    batches = live[judging].batches(findings.seed, findings.pair.steps)
    return Rejudge(float32, live[judging], {other: live[other]}, batches, findings.seed)


def compare_by_float32(
    float32: Float32, torch: Recording, jax: Recording, judging: Framework, keys: Iterable[Key],
) -> list[Comparison]:  # fmt: skip
    """Tensors of two float64 runs, the judge's and another, that may be as far apart as float32 may be from the judge.

    How far they are apart is no yardstick: a fault would stretch it.
    """
    found = {key: compare_one(key, _wide(torch.get(key)), _wide(jax.get(key)), float32.scales) for key in keys}
    forward = {key: _judged(float32, c, judging, _as_it_is) for key, c in found.items() if not key.is_gradient}
    # A flip leaves all that goes forward within its limit. Where that differs, the gradients have reason to.
    rejudge = float32.rejudge if all(c.outcome == "agree" for c in forward.values()) else _as_it_is
    return [forward.get(key) or _judged(float32, c, judging, rejudge) for key, c in found.items()]


def _as_it_is(comparison: Comparison) -> Comparison:
    return comparison


def judged_with_cpu(findings: Findings, cpu: Recording, noise_of: NoiseOf) -> list[Comparison]:
    """The judge of a run on a GPU against the same run on the CPU, as far as both come from the same parameters."""
    judge, keys = findings.judge, keys_of(findings.judge, cpu)
    first = [key for key in keys if key.step == 0 and key.stage in BEFORE_UPDATES]
    tight = [key for key in first if not findings.inside.holds(key)]
    wide = [key for key in first if findings.inside.holds(key)]
    found = compare_float64(judge, cpu, findings.scales, noise_of, keys=tight)
    found += compare_by_float32(_rule(findings), judge, cpu, findings.judging, wide)
    return [replace(comparison, loop=ON_CPU.format(cpu.provenance.framework)) for comparison in found]


def _wide(array: Array | None) -> Array | None:
    """What a layer gives in float32 is as good here as the same numbers in float64."""
    return array.astype(np.float64) if array is not None and array.dtype == np.float32 else array


def _judged(
    float32: Float32, comparison: Comparison, judging: Framework, rejudge: Callable[[Comparison], Comparison]
) -> Comparison:
    if not comparison.limit or not isfinite(comparison.difference):
        return comparison
    key, apart = comparison.key, comparison.difference
    limit = float32.limit(key, 0.0, 0.0)
    if apart > limit.limit:
        again = rejudge(replace(comparison, limit=limit.limit, side=OTHER[judging], outcome="differ"))
        if again.outcome == "agree":
            return replace(again, side=None)
        noise = float32.noise_of(judging)
        limit = float32.limit(key, 0.0, noise.of(key))
        while apart > limit.limit and noise.draw():
            limit = float32.limit(key, 0.0, noise.of(key))
    if not limit.has_power:
        float32.without_power.add(key)
    if not limit.has_power and not comparison.note:
        why = without_cap("float32")
        comparison = replace(comparison, note=why.note, cause=why.cause)
    return replace(comparison, limit=limit.limit, outcome="agree" if apart <= limit.limit else "differ")
