"""The sides' own loops against the judge: in float64 over all steps, in float32 one step from the judge's states."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from parity.errors import NotCheckable
from parity.judging.distance.difference import Scales
from parity.judging.distance.noise import Noise
from parity.judging.passes.float32 import Float32
from parity.judging.passes.float64 import NoiseOf, compare_float64
from parity.judging.passes.judge import rests_on_null
from parity.recording import Framework, Key, Recording
from parity.sides.checked import CheckedSide
from parity.sides.runs import Progress
from parity.verdict import Comparison

FLOAT32_STARTS = (0, 1, 10, 50)
"""The steps at which every loop is started from the judge's state, in float32, to run for one step."""

ENGINE = "the engine's step"
"""Stands for a loop on a side that has none."""

Sides = Mapping[Framework, CheckedSide]
Loops = Mapping[Framework, Mapping[str, str]]
"""The loops of each side, each with why it cannot run here, empty where it can."""


def chosen(sides: Sides, wanted: Sequence[str] | None) -> dict[Framework, dict[str, str]]:
    """The loops of each side that were asked for (None: all), each with why it cannot run here, empty where it can.

    Raises:
        NotCheckable: no side has a loop that was asked for, where the sides have loops at all; or none of them runs.
    """
    offered = {loop for side in sides.values() for loop in side.loops}
    if isinstance(wanted, str):
        raise NotCheckable(f"loops are {wanted!r}: expected a sequence of names")
    names = {
        framework: {loop: side.missing(loop) for loop in side.loops if wanted is None or loop in wanted}
        for framework, side in sides.items()
    }
    reasons = [why for found in names.values() for why in found.values()]
    if offered and wanted and (not reasons or all(reasons)):
        why = reasons[0] if reasons else f"the sides have {', '.join(sorted(offered))}"
        raise NotCheckable(f"none of the loops {', '.join(wanted)} runs here: {why}")
    return names


def compare_loops_float64(
    sides: Sides, loops: Loops, judge: Recording, scales: Scales, noise_of: NoiseOf, steps: int,
    unshown: Collection[str],
) -> tuple[list[Comparison], dict[str, Recording]]:  # fmt: skip
    """Loss of every step, and parameters and optimizer state at the end, of every loop that runs here; and its run.

    `unshown` are names of tensors that are not compared.
    """
    found: list[Comparison] = []
    runs: dict[str, Recording] = {}
    for framework, side in sides.items():
        for loop in (loop for loop, why in loops[framework].items() if not why):
            run = runs[f"{framework} {loop}"] = side.driven(loop)
            both = (run, judge) if framework == "torch" else (judge, run)
            losses = [Key("trajectory", step, "loss") for step in range(steps)]
            last = judge.state_before(steps)
            expected = [Key("trajectory", steps - 1, name) for name in (*last.parameters, *last.optimizer)]
            # Also what the loop gave back beyond that, such as one loss too many.
            named = dict.fromkeys([*losses, *expected, *run.flow()])
            keys = [key for key in named if key.tensor not in unshown and not rests_on_null(key, judge, scales)]
            found += compare_float64(*both, scales, noise_of, keys=keys, loop=f"{framework} {loop}")
    return found, runs


def compare_loops_float32(
    sides: Sides, loops: Loops, float32: Float32, steps: int, progress: Progress
) -> list[Comparison]:
    """One step of every loop from the judge's state at the steps of `FLOAT32_STARTS`.

    A loop is measured against the other side's loop of the same name, or, where it has none, its first, or, where it
    has no loop at all, the engine's own step of it.
    """
    running = {framework: [loop for loop, why in names.items() if not why] for framework, names in loops.items()}
    if not any(running.values()):
        return []
    running = {framework: names or [ENGINE] for framework, names in running.items()}
    found: list[Comparison] = []
    for start in (start for start in FLOAT32_STARTS if start < steps):
        progress(f"float32: every loop from step {start}")
        runs = {
            framework: {loop: side.loop_step(loop, start, float32.judge) for loop in running[framework]}
            for framework, side in sides.items()
        }
        for loop in dict.fromkeys(name for names in running.values() for name in names if name != ENGINE):
            driven = {framework: loop if loop in names else names[0] for framework, names in running.items()}
            judged = _against(float32, sides, driven, runs, loop, start)
            found += [c for c in judged if c.side is None or loop in running[c.side]]
    return found


def _against(
    float32: Float32, sides: Sides, driven: Mapping[Framework, str],
    runs: Mapping[Framework, Mapping[str, Recording]], loop: str, start: int,
) -> list[Comparison]:  # fmt: skip
    """One loop, on each side by the loop that is driven there for it."""
    judge, scales = float32.judge, float32.scales
    bases = {framework: runs[framework][name] for framework, name in driven.items()}

    def noise_of(framework: Framework) -> Noise:
        return sides[framework].loop_step_noise(bases[framework], driven[framework], start, judge, scales)

    # The cap is taken from the lockstep run, whose update is fed the judge's gradient: a loop computes its own.
    one = Float32(judge, scales, {}, noise_of, unshown=float32.unshown)
    return one.compare(bases, loop=loop)
