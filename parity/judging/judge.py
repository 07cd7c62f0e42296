"""What makes the float64 run a judge beyond the agreement of two free-running sides.

A parameter whose gradient is null is moved by nothing but rounding, which Adam turns into steps of full size: two free
runs part there, and neither is wrong. Such parameters, and the optimizer's memory of them, are judged in lockstep.
"""

from __future__ import annotations

from collections.abc import Callable

from parity.judging.difference import Scales, is_gradient
from parity.judging.float32 import OTHER
from parity.judging.float64 import NoiseOf, compare_float64
from parity.judging.noise import Noise
from parity.recording import Framework, Key, Recording, keys_of
from parity.verdict import Comparison

ON_CPU = "{} on the CPU"
"""Where the judge of a run on a GPU is compared with the same run on the CPU, this stands in place of a loop."""


def rests_on_null(key: Key, judge: Recording, scales: Scales) -> bool:
    """Whether a tensor is a parameter with a null gradient after an update, or the optimizer's memory of one."""
    if key.stage not in ("update", "trajectory") or is_gradient(key):
        return False
    names = {tensor for stage, tensor in scales.null if stage == "backward"} & set(judge.of("init", 0))
    return any(key.tensor == name or key.tensor.endswith(f".{name}") for name in names)


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
    # Of a judge that is not recorded whole, only what was taken from a state that is there.
    keys = [key for key in keys if found.of(key.stage, key.step)]
    sides = {judging: judge, OTHER[judging]: found}

    def noise_of(framework: Framework, _: int | None) -> Noise:
        # From one state, and fed one gradient, two optimizers have nothing to amplify: the floor suffices.
        return Noise(sides[framework], lambda move: sides[framework], scales, 0)

    return compare_float64(sides["torch"], sides["jax"], scales, noise_of, keys=keys)


def compare_with_cpu(judge: Recording, cpu: Recording, scales: Scales, noise_of: NoiseOf) -> list[Comparison]:
    """The judge of a run on a GPU against the same run on the CPU."""
    keys = [key for key in keys_of(judge, cpu) if not rests_on_null(key, judge, scales)]
    loop = ON_CPU.format(cpu.provenance.framework)
    return compare_float64(judge, cpu, scales, noise_of, keys=keys, loop=loop)
