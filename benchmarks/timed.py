"""The run that was timed, held to the judge: a variant that is driven anew does not show what an earlier run left."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from benchmarks.judge import Judge
from benchmarks.prepared import Outcome
from parity.recording import Array

FIRST = {"float32": 1e-5, "tf32": 1e-3, "bfloat16": 1e-3}
"""How far the loss of the first step, which nothing has trained yet, may be from the judge's, in the largest of its
losses. Measured on a CPU, all problems, widths of 25 to 400, batches of 10 and 1000, three seeds: float32 at most 3e-7,
bfloat16 3e-5. TF32 is taken to be no worse than bfloat16, which has fewer bits."""
LATER, GROWTH, MOST = 1e-3, 2.0, 1.0
"""In float32, those after it: so far, and so many times as far with each step, never further than the largest loss.
Rounding grows as training goes on, and by much where it lets a ReLU flip. Measured likewise, six seeds, batches of 10
to 1000: 1e-5 after one step, 9e-5 after three, 6e-4 after five, and, with 30 examples, 7e-3 after six and 1e-2 after
ten; after a hundred, with 10 examples, 0.4. In bfloat16 a step is enough for 0.1: there, and in TF32, only the first
loss and a training that goes astray are seen."""

REPEATED, APART = 2, 1e-3
"""A run is wrong in which so many losses are the very ones of the step before, where the judge's are that far apart, in
the largest of its losses: steps were left out. That a loss of a right run comes up again is rounding's chance: 3e-7 a
step where losses of 0.3 scatter by 0.1, so that once is no proof, and twice in a hundred steps happens to one run in a
billion."""


def fault(judge: Judge, precision: str, outcomes: Sequence[Outcome]) -> str:
    """What is wrong with a run that was timed, in this precision; empty where nothing is.

    Args:
        judge: of the case.
        precision: that it was timed in.
        outcomes: of each seed that was trained, the judge's first.
    """
    for what, held in (("losses", [outcome.losses for outcome in outcomes]), ("parameters", _parameters(outcomes))):
        if len({array.tobytes() for array in held}) < len(held):
            return f"the timed run has the same {what} for two of its seeds"
    far = np.abs(outcomes[0].losses.astype(float) - judge.losses) / np.abs(judge.losses).max()
    limits = allowed(precision, judge.steps)
    step = int(np.argmax(~(far <= limits)))
    if not far[step] <= limits[step]:
        return f"the timed run, step {step}, loss: {far[step]:.1e} from the judge, limit {limits[step]:.1e}"
    again = repeated(outcomes[0].losses, judge.losses)
    if len(again) < REPEATED:
        return ""
    return f"the timed run, step {again[0]}, loss: that of the step before, as {len(again)} are: steps were left out"


def repeated(losses: Array, judged: Array) -> list[int]:
    """The steps whose loss is the very one of the step before, and should be another."""
    same = losses[1:] == losses[:-1]
    other = np.abs(np.diff(judged)) > APART * np.abs(judged).max()
    return [int(step) + 1 for step in np.flatnonzero(same & other)]


def allowed(precision: str, steps: int) -> Array:
    """How far the losses of a free run may be from the judge's, in the largest of these, (steps,)."""
    later = LATER * GROWTH ** np.arange(steps) if precision == "float32" else np.full(steps, MOST)
    later[0] = FIRST[precision]
    limits: Array = np.minimum(later, MOST)
    return limits


def _parameters(outcomes: Sequence[Outcome]) -> list[Array]:
    """A tensor of each seed's that training has moved: the first one."""
    return [next(iter(outcome.state.parameters.values())) for outcome in outcomes]
