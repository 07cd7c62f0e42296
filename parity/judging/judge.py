"""What makes the float64 run a judge beyond the agreement of two free-running sides.

A parameter whose gradient is null is moved by nothing but rounding, which Adam turns into steps of full size: two free
runs part there, and neither is wrong. Such parameters, and the optimizer's memory of them, are judged in lockstep. So
is whatever a unit in the last place of the initial parameters moves by more than any float64 limit: training deep nets
is chaotic in float64 too, some steps later than in float32.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import isfinite
from typing import NamedTuple

from parity.judging.difference import Scales, is_gradient
from parity.judging.factors import FLOAT64_CEILING
from parity.judging.float64 import NoiseOf, compare_float64
from parity.judging.noise import Noise
from parity.live import LiveSide, live_side
from parity.pair import Pair
from parity.recording import Arrays, Framework, Key, Recording, keys_of
from parity.runs import free_run, lockstep
from parity.verdict import Comparison

ON_CPU = "torch on the CPU"
"""Where the judge of a run on a GPU is compared with the same run on the CPU, this stands in place of a loop."""


BEFORE_UPDATES = ("data", "init", "forward", "loss", "backward")
"""What the first step shows before anything is updated."""


def rests_on_null(key: Key, judge: Recording, scales: Scales) -> bool:
    """Whether a tensor is a parameter with a null gradient after an update, or the optimizer's memory of one."""
    if key.stage not in ("update", "trajectory") or is_gradient(key):
        return False
    names = {tensor for stage, tensor in scales.null if stage == "backward"} & set(judge.of("init", 0))
    return any(key.tensor == name or key.tensor.endswith(f".{name}") for name in names)


def compare_null_in_lockstep(
    judge: Recording, jax: LiveSide, scales: Scales, seed: int, steps: int
) -> list[Comparison]:
    """Everything that rests on null gradients: JAX's steps from the judge's states, fed the judge's gradients."""
    keys = [key for key in judge.flow() if rests_on_null(key, judge, scales)]
    if not keys:
        return []
    found = lockstep(jax, judge, seed, steps)

    def noise_of(framework: Framework, _: int | None) -> Noise:
        # From one state, and fed one gradient, two optimizers have nothing to amplify: the floor suffices.
        return Noise(judge if framework == "torch" else found, lambda move: found, scales, seed)

    return compare_float64(judge, found, scales, noise_of, keys=keys)


class Lockstep(NamedTuple):
    """Comparisons, those of them that were made in lockstep, and the run that these were made with, if there are any.

    `listed` says in one line what the free run could not be judged in.
    """

    comparisons: list[Comparison]
    keys: frozenset[Key] = frozenset()
    run: Recording | None = None
    listed: str = ""


def judged_beyond_noise(
    free: list[Comparison], live: Mapping[Framework, LiveSide], judge: Recording, scales: Scales, noise_of: NoiseOf,
    seed: int, steps: int,
) -> Lockstep:  # fmt: skip
    """The comparisons of the free runs, those that noise leaves nothing to be judged in made again in lockstep.

    That is where each side is moved from itself by more than the ceiling of the limits. Before the first update there
    is no such thing: a difference there stands, and nothing more is run.
    """
    wrong = [c for c in free if c.outcome == "differ" and isfinite(c.difference)]
    if not wrong or any(c.key.step == 0 and c.key.stage in BEFORE_UPDATES for c in free if c.outcome == "differ"):
        return Lockstep(free)
    noises = noise_of("torch", None), noise_of("jax", None)
    keys = frozenset(c.key for c in wrong if _chaotic(c.key, *noises))
    if not keys:
        return Lockstep(free)
    run = lockstep(live["jax"], judge, seed, steps)

    def noise_in_lockstep(framework: Framework, until: int | None) -> Noise:
        def rerun(move: Callable[[Arrays], Arrays]) -> Recording:
            return lockstep(live[framework], judge, seed, until or steps, move=move)

        return Noise(judge if framework == "torch" else run, rerun, scales, seed)

    again = {c.key: c for c in compare_float64(judge, run, scales, noise_in_lockstep, keys=sorted(keys, key=Key.flow))}
    first = min(keys, key=Key.flow)
    tensors = len({key.tensor for key in keys})
    said = (
        f"float64: {tensors} tensors, first {first}, are moved from themselves by more than {FLOAT64_CEILING:g} "
        "where the start moves by a unit in the last place: judged in lockstep from there on"
    )
    return Lockstep([again.get(c.key, c) for c in free], keys, run, said)


def _chaotic(key: Key, torch: Noise, jax: Noise) -> bool:
    while min(torch.of(key), jax.of(key)) <= FLOAT64_CEILING:
        if not (torch.draw() and jax.draw()):
            return False
    return True


def compare_with_cpu(pair: Pair, judge: Recording, scales: Scales, noise_of: NoiseOf, seed: int) -> list[Comparison]:
    """The judge of a run on a GPU against the same run on the CPU."""
    cpu = free_run(live_side(pair.torch, "torch", "float64", "cpu"), seed, pair.steps, stages=pair.stages)
    keys = [key for key in keys_of(judge, cpu) if not rests_on_null(key, judge, scales)]
    return compare_float64(judge, cpu, scales, noise_of, keys=keys, loop=ON_CPU)
