"""What makes the float64 run a judge beyond the agreement of two free-running sides.

A parameter whose gradient is null is moved by nothing but rounding, which Adam turns into steps of full size: two free
runs part there, and neither is wrong. Such parameters, and the optimizer's memory of them, are judged in lockstep. So
is whatever a unit in the last place of the initial parameters moves by more than any float64 limit: training deep nets
is chaotic in float64 too, some steps later than in float32.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from math import isfinite
from typing import NamedTuple

import numpy as np

from parity.judging.distance.difference import Scales
from parity.judging.distance.factors import FLOAT64_CEILING, FLOAT64_FACTOR, FLOAT64_FLOOR
from parity.judging.distance.noise import Noise
from parity.judging.passes.float64 import NoiseOf, compare_float64
from parity.judging.unseen.counters import counters, shaped_otherwise
from parity.judging.unseen.whose import whose
from parity.recording import FRAMEWORKS, GRADIENT, OTHER, Framework, Key, Recording, keys_of
from parity.verdict import Comparison

ON_CPU = "{} on the CPU"
"""Where the judge of a run on a GPU is compared with the same run on the CPU, this stands in place of a loop."""


BEFORE_UPDATES = ("data", "init", "forward", "loss", "backward")
"""What the first step shows before anything is updated."""


def taken(keys: Iterable[Key], *lockstep: Recording) -> list[Key]:
    """Those whose step all these runs have taken: a judge that is not recorded whole has no state for the others."""
    return [key for key in keys if all(run.of(key.stage, key.step) for run in lockstep)]


def rests_on_null(key: Key, judge: Recording, scales: Scales) -> bool:
    """Whether a tensor is a parameter with a null gradient after an update, or the optimizer's memory of one.

    What rounding did in the first steps stays in both: one whose gradient begins null rests on it to the end.
    """
    if not key.after_update or key.is_gradient:
        return False
    return ("backward", whose(key, judge.of("init", 0))) in scales.ever_null


def compare_null_in_lockstep(
    judge: Recording, judging: Framework, other: Callable[[], Recording], scales: Scales
) -> list[Comparison]:
    """Everything that rests on null gradients, in the other side's steps from the judge's states and gradients.

    `judging` is the judge's side; `other` gives the other's float64 recording in lockstep, where one is needed.
    """
    keys = [key for key in judge.flow() if rests_on_null(key, judge, scales)]
    if not keys:
        return []
    found = other()
    keys = taken(keys, found)
    sides = {judging: judge, OTHER[judging]: found}

    def noise_of(framework: Framework, _: int | None) -> Noise:
        # From one state, and fed one gradient, two optimizers have nothing to amplify: the floor suffices.
        return Noise(sides[framework], lambda move, into: None, scales, 0)

    return compare_float64(sides["torch"], sides["jax"], scales, noise_of, keys=keys)


def completed(judge: Recording, other: Recording, apart: Collection[str]) -> Recording:
    """The judge with what is `apart` and only the other side holds, so that it can start from the judge's states.

    That is arrays of the model, counters of the optimizer, and what it remembers in a shape of its own. They are not
    compared: each side's own are as right as they can be.
    """
    mine, theirs_too = (
        {*recording.of("init", 0), *counters(recording), *shaped_otherwise(recording)} for recording in (judge, other)
    )
    names = (theirs_too - mine) & set(apart)
    if not names:
        return judge
    groups = dict(judge.groups)
    for stage, step in groups:
        if stage in ("init", "trajectory"):
            theirs = other.of(stage, step)
            groups[stage, step] = groups[stage, step] | {name: theirs[name] for name in theirs if name in names}
    return Recording(judge.provenance, groups)


class Lockstep(NamedTuple):
    """Comparisons, those of them that were made in lockstep, and the run that these were made with, if there are any.

    `listed` says in one line what the free run could not be judged in.
    """

    comparisons: list[Comparison]
    keys: frozenset[Key] = frozenset()
    run: Recording | None = None
    listed: str = ""

    def run_of(self, key: Key) -> Recording | None:
        """The run that a tensor's comparison was made with in lockstep; None where it was made with the free run."""
        return self.run if key in self.keys else None


def judged_beyond_noise(
    free: list[Comparison], sides: Mapping[Framework, Recording], judging: Framework, scales: Scales,
    noise_of: NoiseOf, lockstep_noise_of: Callable[[Framework], Noise], lockstep: Callable[[], Recording],
) -> Lockstep:  # fmt: skip
    """The comparisons of the free runs, those that noise leaves nothing to be judged in made again in lockstep.

    That is where both sides' noise asks for a limit above the ceiling, and all behind a parameter that rounding of its
    gradient moved, which the noise of a side that has 0 there does not show. Before the first update there is no such
    thing: a difference there stands, and nothing more is run.
    """
    wrong = [c for c in free if c.outcome == "differ" and isfinite(c.difference)]
    if not wrong or any(c.key.step == 0 and c.key.stage in BEFORE_UPDATES for c in free if c.outcome == "differ"):
        return Lockstep(free)
    rounding = _moved_by_rounding(min(wrong, key=lambda c: c.key.flow()), sides, scales)
    noises = noise_of("torch", None), noise_of("jax", None)
    keys = frozenset(c.key for c in wrong if rounding or _chaotic(c.key, *noises))
    if not keys:
        return Lockstep(free)
    run, judge = lockstep(), sides[judging]
    there = frozenset(taken(keys, run))
    stepped = {judging: judge, OTHER[judging]: run}
    found = compare_float64(
        stepped["torch"], stepped["jax"], scales, lambda framework, _: lockstep_noise_of(framework),
        keys=sorted(there, key=Key.flow),
    )  # fmt: skip
    again = {c.key: c for c in found}
    first, tensors = min(keys, key=Key.flow), len({key.tensor for key in keys})
    why = (
        f"float64: {first} rests on numbers of a gradient that are nothing but rounding, and {tensors} tensors with it"
        if rounding
        else f"float64: {tensors} tensors, first {first}, ask for a limit above {FLOAT64_CEILING:g}, "
        "so far does a unit in the last place of the start move them"
    )
    said = f"{why}: judged in lockstep from there on"
    return Lockstep([again.get(c.key, c) for c in free if c.key in there or c.key not in keys], keys, run, said)


def _moved_by_rounding(first: Comparison, sides: Mapping[Framework, Recording], scales: Scales) -> bool:
    """Whether a parameter went elsewhere only where its gradient is nothing but rounding on both sides.

    Adam makes large steps of that, and a side that has 0 there shows no noise. The gradients' own comparison cannot
    tell such numbers from 0.
    """
    key = first.key
    if not key.after_update or key.is_gradient:
        return False
    own = Key("trajectory", key.step, f"{GRADIENT}{whose(key, sides['torch'].of('init', 0))}")
    here, there, *gradients = (sides[side].get(asked) for asked in (key, own) for side in FRAMEWORKS)
    if here is None or there is None or any(a is None or a.shape != here.shape for a in (there, *gradients)):
        return False
    elsewhere = np.abs(here - there) > first.limit * scales.of[key]
    small = FLOAT64_FLOOR * scales.of[own]
    return all(array is not None and bool((np.abs(array)[elsewhere] <= small).all()) for array in gradients)


def _chaotic(key: Key, torch: Noise, jax: Noise) -> bool:
    while FLOAT64_FACTOR * min(torch.of(key), jax.of(key)) <= FLOAT64_CEILING:
        if not (torch.draw() and jax.draw()):
            return False
    return True


def compare_with_cpu(judge: Recording, cpu: Recording, scales: Scales, noise_of: NoiseOf) -> list[Comparison]:
    """The judge of a run on a GPU against the same run on the CPU."""
    keys = [key for key in keys_of(judge, cpu) if not rests_on_null(key, judge, scales)]
    loop = ON_CPU.format(cpu.provenance.framework)
    return compare_float64(judge, cpu, scales, noise_of, keys=keys, loop=loop)
