"""One step of an optimizer as both sides took it, gathered over parameters, and constants solved from it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from parity.judging.distance.difference import largest
from parity.judging.hints.evidence import Apart, Case
from parity.recording import GRADIENT, Array, Arrays, Recording, named_after
from parity.verdict import EPS

MOST = 2**20
"""So many numbers, evenly spread, stand for all of them where there are more."""
SOLVED_FROM = 2**14
"""Constants are solved from so many of them, and held against all."""
SAME = 1e-9
"""Two arrays are the same where they are no further apart than this share of their size."""


@dataclass(frozen=True)
class Taken:
    """Flat arrays of one step over some parameters, in float64.

    Attributes:
        before, gradient: the parameters, and the gradient, that both sides began from.
        memory: the optimizer's arrays before the step, by torch's names; zero where there are none yet.
        expected, found: the parameters after it.
        memory_expected, memory_found: the optimizer's arrays after it.
        count: how many steps were taken then, 1 or more.
        eps: of the dtype that the found step was taken in.
        alone: whether these are one of several parameters.
    """

    before: Array
    gradient: Array
    memory: Arrays
    expected: Array
    found: Array
    memory_expected: Arrays
    memory_found: Arrays
    count: int
    eps: float
    alone: bool

    @cached_property
    def apart(self) -> Apart:
        """The parameters after the step."""
        return Apart(self.expected, self.found, self.eps)

    def remembered(self, name: str) -> Apart:
        """One of the optimizer's arrays after the step."""
        return Apart(self.memory_expected[name], self.memory_found[name], self.eps)


def same(apart: Apart) -> bool:
    """Whether two arrays are apart by rounding only."""
    return apart.far <= max(SAME * apart.size, apart.rounding)


def taken(case: Case, entries: Sequence[str]) -> Iterator[Taken]:
    """The step at which parameters or the optimizer's memory differ: over all parameters, then over the one alone.

    Args:
        case: the difference.
        entries: the arrays that the optimizer keeps of each parameter; nothing is given where it keeps others.
    """
    key, gradients = case.key, case.expected.of("trajectory", case.key.step)
    if not key.after_update or key.is_gradient or key.tensor == "loss":
        return
    names = [n for n in case.expected.of("init", 0) if f"{GRADIENT}{n}" in gradients]
    own = named_after(key.tensor, names)
    if not own or _entries(case.expected, key.stage, key.step, own) != set(entries):
        return
    for wanted in (names, [own]) if len(names) > 1 else (names,):
        if (found := _gathered(case, wanted, entries, alone=wanted != names)) is not None:
            yield found


def _entries(recording: Recording, stage: str, step: int, parameter: str) -> set[str]:
    ending, initial = f".{parameter}", recording.of("init", 0)
    after = {name for name in recording.of(stage, step) if name.endswith(ending) and name not in initial}
    return {name.removesuffix(ending) for name in after if name.count(".") == ending.count(".")} - {"gradient", "step"}


def _gathered(case: Case, names: Sequence[str], entries: Sequence[str], *, alone: bool) -> Taken | None:
    step = case.key.step
    start = case.before
    if not start.parameters:
        return None
    gradients = case.expected.of("trajectory", step)
    after, after_found = (side.of(case.key.stage, step) for side in (case.expected, case.found))
    every = -(-sum(start.parameters[name].size for name in names) // MOST)

    def flat(arrays: Arrays, prefix: str = "") -> Array:
        parts = [arrays[f"{prefix}{name}"].astype(np.float64).ravel()[::every] for name in names]
        return np.concatenate(parts)

    def zeros(entry: str) -> Array:
        held = start.optimizer
        return flat(held, f"{entry}.") if held else np.zeros_like(flat(after, f"{entry}."))

    try:
        gathered = Taken(
            before=flat(start.parameters), gradient=flat(gradients, GRADIENT),
            memory={entry: zeros(entry) for entry in entries},
            expected=flat(after), found=flat(after_found),
            memory_expected={entry: flat(after, f"{entry}.") for entry in entries},
            memory_found={entry: flat(after_found, f"{entry}.") for entry in entries},
            count=step + 1, eps=EPS[case.found.provenance.dtype], alone=alone,
        )  # fmt: skip
    except KeyError:
        # A side keeps other arrays, or not all of them were recorded.
        return None
    everything = [gathered.before, gathered.gradient, gathered.expected, gathered.found]
    everything += [array for memory in (gathered.memory_expected, gathered.memory_found) for array in memory.values()]
    alike = all(array.shape == gathered.before.shape and np.isfinite(array).all() for array in everything)
    return gathered if alike else None


def solved(target: Array, *columns: Array, weight: Array | float = 1.0) -> list[float]:
    """The factors of the columns by which they add up to the target, by least squares; NaN where any would do."""
    every = max(1, target.size // SOLVED_FROM)
    matrix = np.stack([np.broadcast_to(weight, target.shape) * column for column in columns], -1)[::every]
    sizes = np.array([largest(matrix[:, index]) for index in range(len(columns))])
    if not (sizes > 0).all():
        return [float("nan")] * len(columns)
    found, _, rank, _ = np.linalg.lstsq(matrix / sizes, (weight * target)[::every], rcond=None)
    return [float(factor) for factor in found / sizes] if rank == len(columns) else [float("nan")] * len(columns)


def quotient(number: float, by: float) -> float:
    """One solved number over another; NaN where that is 0."""
    return number / by if by else float("nan")


def rate_in_words(rate: float, right: float, other: str) -> str:
    """Another learning rate than the right one."""
    if rate == -right:
        return "with the learning rate of the opposite sign"
    return f"with learning rate {rate:g}, {rate / right:.6g} times as large, where {other} it fits {right:g}"


def as_a_hint(step: Taken, words: str) -> str:
    """What explains a step, told of all parameters or of the one alone."""
    return f"as {words}, of this parameter alone" if step.alone else f"as {words}"
