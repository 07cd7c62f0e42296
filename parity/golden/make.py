"""What a check asks of a side, asked of one that runs and put into a golden.

The framework is needed once, here; what the other side's check will ask later must be in the file. So noise is drawn in
full, whether or not it will be needed, and told in absolute values, since the scale of a tensor is known only when both
sides are. Of the float32 runs, the distances from the judge are kept (`parity.judging.distance.measured`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import NamedTuple

import numpy as np

from parity.arrays.draws import STREAM, pass_name
from parity.errors import NotCheckable
from parity.golden.entries import (
    CURVE,
    FLIPPED,
    FREE,
    LOCKSTEP,
    LOCKSTEP64,
    ON_CPU,
    coarse_name,
    driven_name,
    loop_step_name,
)
from parity.golden.file import Content, Figures
from parity.golden.heading import Heading
from parity.golden.kept import Kept, kept_of
from parity.judging.distance.difference import Scales, sizes
from parity.judging.distance.factors import NOISE_DRAWS
from parity.judging.distance.measured import measured
from parity.judging.distance.noise import RecordedNoise, Rerun, aside
from parity.judging.passes.flips import Rejudge, gradient_name
from parity.judging.passes.float32 import Float32
from parity.judging.passes.loops import ENGINE, FLOAT32_STARTS, chosen
from parity.pair.optimizers import Optimizer
from parity.pair.pair import Pair
from parity.recording import USUAL_DTYPES, Batch, Device, Framework, Key, Recording
from parity.sides.parts import Parts
from parity.sides.running import Running
from parity.sides.runs import Progress
from parity.weight_map.outline import Shape


class Asked(NamedTuple):
    """The side that is recorded, and what of it is known so far."""

    running: Running
    judge: Recording
    content: Content
    seed: int
    steps: int
    tell: Progress


def golden_of(
    pair: Pair, framework: Framework, *, seed: int, device: Device, loops: Sequence[str] | None, progress: Progress
) -> Content:
    """Everything that a check of this pair asks of one of its sides.

    Raises:
        NotCheckable: the framework, a part or the device is missing, or the side's own code raised.
    """
    running = Running(pair, framework, seed, device, progress)
    names = chosen({framework: running}, loops)[framework] if "trajectory" in pair.stages else {}
    batches = running.float64.batches(seed, pair.steps)
    running.kept = kept = kept_of(running.whole, batches, pair.steps)
    heading = Heading.of(
        pair, framework, seed=seed, device=device, kept=kept, loops=names, unmatched=tuple(sorted(running.unmatched)),
        apart=tuple(sorted(running.apart)), drew=running.drew, remarks=tuple(running.remarks),
        idle=tuple(sorted(running.idle)), outline=running.float64.outline,
        optimizer=_optimizer(pair) if framework == "torch" else None,
        dropouts=_dropouts(pair, batches) if framework == "torch" else {},
    )  # fmt: skip
    asked = Asked(running, running.free(), Content(heading.document()), seed, pair.steps, progress)
    _free(asked, kept, device)
    _lockstep(asked)
    _flipped(asked, kept.steps)
    if "trajectory" in pair.stages:
        _loops(asked, [loop for loop, why in names.items() if not why])
        _curve(asked)
    if running.changed:
        raise NotCheckable(
            f"the {framework} side changed how it computes while it was recorded: {running.changed} after it: leave "
            "such settings to the code that calls it"
        )
    return asked.content


def _optimizer(pair: Pair) -> Optimizer | None:
    """What torch's optimizer is; None where it has no exact translation."""
    try:
        return Parts(pair.torch, "torch").torch_optimizer
    except NotCheckable:
        return None


def _dropouts(pair: Pair, batches: Sequence[Batch]) -> dict[str, Sequence[Shape]]:
    """The shapes of the masks that torch's side draws, of one batch of each shape."""
    unlike = {pass_name("", batch): batch for batch in batches if STREAM in batch}
    found = [Parts(pair.jax, "jax").torch_dropouts(batch) for batch in unlike.values()]
    return {name: shapes for passes in found for name, shapes in passes.items()}


def _free(asked: Asked, kept: Kept, device: Device) -> None:
    running, judge, content = asked.running, asked.judge, asked.content
    content.recordings[FREE] = kept.without_given(judge)
    found = sizes(running.whole)
    draws = _draws(running.whole, running.free_moved, asked.seed)
    content.figures[FREE] = _table([found, *draws])
    draws = _draws(judge, partial(running.lockstep64_moved, judge), asked.seed)
    content.figures[LOCKSTEP64] = _table([sizes(judge), *draws])
    if device == "gpu":
        content.recordings[ON_CPU] = kept.without_given(running.on_cpu())
    for dtype in USUAL_DTYPES:
        asked.tell(f"{dtype}: the coarse distance")
        content.figures[coarse_name(dtype)] = _table([running.coarse(dtype, judge, _unscaled(judge))])


def _lockstep(asked: Asked) -> None:
    run = asked.running.lockstep(asked.judge)
    _keep_measured(asked, LOCKSTEP, run, partial(asked.running.lockstep_moved, asked.judge))


def _keep_measured(asked: Asked, name: str, run: Recording, rerun: Rerun) -> None:
    """A float32 run: its distances and its noise as figures, and as a recording what they cannot stand for."""
    found = measured(run, asked.judge, asked.running.float64.frozen)
    asked.content.recordings[name] = Recording(found.provenance, found.groups)
    asked.content.figures[name] = _table([found.distances, *_draws(run, rerun, asked.seed)])


def _loops(asked: Asked, loops: Sequence[str]) -> None:
    running, judge = asked.running, asked.judge
    for loop in loops:
        asked.content.recordings[driven_name(loop)] = running.driven(loop)
    # The engine's step too: a later check may drive loops of the other side that this one does not have.
    for loop in (*loops, ENGINE):
        for start in (start for start in FLOAT32_STARTS if start < asked.steps):
            asked.tell(f"float32: {loop} from step {start}")
            run = running.loop_step(loop, start, judge)
            _keep_measured(asked, loop_step_name(loop, start), run, partial(running.loop_step, loop, start, judge))


def _curve(asked: Asked) -> None:
    asked.tell("free-running float32 curve")
    losses, band = asked.running.curve()
    steps = [Key("trajectory", step, "loss") for step in range(asked.steps)]
    asked.content.figures[CURVE] = {key: np.array(row) for key, *row in zip(steps, losses, band, strict=True)}


def _flipped(asked: Asked, steps: Sequence[int]) -> None:
    """Where an activation of this side flips at zero: its gradients at states moved aside, for `Rejudge`."""
    if "backward" not in asked.judge.stages:
        return
    running, judge = asked.running, asked.judge
    side = running.framework
    float32 = Float32(judge, _unscaled(judge), {}, lambda _: RecordedNoise((), _unscaled(judge)))
    batches = running.float64.batches(asked.seed, asked.steps)
    rejudge = Rejudge(float32, running.float64, {side: running.live("float32")}, batches, asked.seed, unseen=False)
    rows: Figures = {}
    for step in steps:
        asked.tell(f"float32: flipped activations at step {step}")
        keys = [key for key in judge.flow() if key.step == step and key.is_gradient]
        for found in rejudge.asides(side, step):
            for key in keys:
                apart = found.apart[side].get(gradient_name(key), np.inf)
                rows[key] = np.array([found.flipped, min(apart, rows[key][1] if key in rows else np.inf)])
    asked.content.figures[FLIPPED] = rows


def _draws(base: Recording, rerun: Rerun, seed: int) -> list[dict[Key, float]]:
    """How far every tensor of the run came from itself in each of the draws that noise may ask for."""
    return [aside(base, rerun, seed, draw) for draw in range(1, NOISE_DRAWS + 1)]


def _table(columns: Sequence[Mapping[Key, float]]) -> Figures:
    """The columns side by side, a row for each key of the first."""
    return {key: np.array([column.get(key, 0.0) for column in columns]) for key in columns[0]}


def _unscaled(judge: Recording) -> Scales:
    """A scale of 1 for every tensor, so that differences come out in absolute values."""
    return Scales(dict.fromkeys(judge.flow(), 1.0), frozenset())
