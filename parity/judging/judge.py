"""What makes the float64 run a judge beyond the agreement of two free-running sides.

A parameter whose gradient is null is moved by nothing but rounding, which Adam turns into steps of full size: two free
runs part there, and neither is wrong. Such parameters, and the optimizer's memory of them, are judged in lockstep.
"""

from __future__ import annotations

from parity.judging.difference import Scales, is_gradient
from parity.judging.float64 import NoiseOf, compare_float64
from parity.judging.noise import Noise
from parity.live import LiveSide, live_side
from parity.pair import Pair
from parity.recording import Framework, Key, Recording, keys_of
from parity.runs import free_run, lockstep
from parity.verdict import Comparison

ON_CPU = "torch on the CPU"
"""Where the judge of a run on a GPU is compared with the same run on the CPU, this stands in place of a loop."""


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


def compare_with_cpu(pair: Pair, judge: Recording, scales: Scales, noise_of: NoiseOf, seed: int) -> list[Comparison]:
    """The judge of a run on a GPU against the same run on the CPU."""
    cpu = free_run(live_side(pair.torch, "torch", "float64", "cpu"), seed, pair.steps, stages=pair.stages)
    keys = [key for key in keys_of(judge, cpu) if not rests_on_null(key, judge, scales)]
    return compare_float64(judge, cpu, scales, noise_of, keys=keys, loop=ON_CPU)
