"""Right or not counted: a variant against the judge, in float64 over all steps, and step by step as it is timed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np

from benchmarks.case import BETAS, EPSILON
from benchmarks.judge import Judge, place
from benchmarks.prepared import Outcome
from benchmarks.probe import MANTISSA_BITS
from parity.arrays.rounding import BFLOAT16_BITS, rounded
from parity.judging.distance.difference import difference, exact, fault
from parity.judging.distance.factors import MINIMUM_POWER
from parity.judging.distance.limits import float32_limit
from parity.recording import OTHER, Array, Arrays, Dtype, Framework, Key, State

COARSE_FACTOR = 4.0
"""Loss and first means in TF32 or bfloat16 may be this many times as far as emulated, where that is furthest. Measured
for bfloat16 on a CPU, MLP and MNIST, three seeds of each: 2.3. bfloat16 in TF32's place, only 8 times as far, is for
the probe to tell. Factors that are cut off to TF32 and not rounded are refused, as their errors do not average out:
MNIST emulated, seeds 0 to 2, is 1.5 to 32 limits away in step 1's loss; rounded, with sums cut off, at most 0.3."""


class Drive(Protocol):
    """A variant's run: from a state or, without one, the draws of the seed, through `count` steps from `start`."""

    def __call__(self, dtype: Dtype, start: int, count: int, state: State | None) -> Outcome:
        """What the run came to."""


@dataclass(frozen=True)
class Check:
    """What the check of a variant found.

    Attributes:
        outcome: "right"; "wrong"; or "inconclusive": nothing differs, but lower precision would not have been noticed.
        reason: what differs first, or what has no power; empty where the variant is right.
        float64: the largest difference over its limit in float64, over all steps.
        timed: the same in the timed dtype and precision, one step at a time.
        power: how many limits away a step in TF32 is, at the tensor that shows it best; None where nothing is to tell.
    """

    outcome: Literal["right", "wrong", "inconclusive"]
    reason: str
    float64: float | None
    timed: float | None
    power: float | None


class _Differs(Exception):  # noqa: N818 -- not an error: what was looked for
    pass


def check(judge: Judge, framework: Framework, precision: str, learning_rate: float, drive: Drive) -> Check:
    """Whether a variant does what the judge did.

    Args:
        judge: of the case.
        framework: the variant's.
        precision: that it is timed in.
        learning_rate: Adam's, where there is one.
        drive: its run.
    """
    float64 = timed = None
    try:
        float64 = _float64(judge, framework, drive("float64", 0, judge.steps, None))
        timed, taken = 0.0, {}
        for start in judge.starts:
            taken[start] = drive("float32", start, 1, judge.states[start])
            timed = max(timed, _one_step(judge, framework, precision, learning_rate, start, taken[start]))
        if precision != "float32" and judge.steps > 1:
            timed = max(timed, _two_steps(judge, framework, precision, drive, taken[0]))
    except _Differs as found:
        return Check("wrong", str(found), float64, timed, None)
    power = _power(judge, framework) if precision == "float32" and judge.coarse else None
    if power is not None and power < MINIMUM_POWER:
        return Check("inconclusive", f"TF32 would be only {power:.1f} limits away", float64, timed, power)
    return Check("right", "", float64, timed, power)


def _float64(judge: Judge, framework: Framework, outcome: Outcome) -> float:
    last = judge.steps - 1
    return max(
        _compared(f"float64, {where}", found, expected, scale, limit, framework, "float64")
        for where, found, expected, scale, limit in _float64_tensors(judge, outcome, last)
    )


def _float64_tensors(judge: Judge, outcome: Outcome, last: int) -> Iterator[tuple[str, Array, Array, float, float]]:
    _expect_losses(outcome.losses, judge.steps, "float64")
    _expect_tensors(outcome.state, judge.states[judge.steps], "float64")
    for step in range(judge.steps):
        at = place(step, "loss")
        yield f"step {step}, loss", outcome.losses[step], judge.losses[step], judge.scales[at], judge.limits[at]
    for name, expected in _flat(judge.states[judge.steps]).items():
        at = place(last, name)
        yield f"the end, {name}", _flat(outcome.state)[name], expected, judge.scales.get(at, 0.0), judge.limits[at]


def _one_step(
    judge: Judge, framework: Framework, precision: str, learning_rate: float, start: int, outcome: Outcome
) -> float:
    where = f"{precision}, one step from step {start}"
    _expect_losses(outcome.losses, 1, where)
    _expect_tensors(outcome.state, judge.states[start + 1], where)
    found = {"loss": outcome.losses[0]} | _flat(outcome.state)
    expected = {"loss": judge.losses[start]} | _flat(judge.states[start + 1])
    own: Arrays = {}
    if precision != "float32":
        _expect_rounded_once(judge, framework, precision, start, found, where)
        own = _of_its_own_means(judge.states[start], start + 1, found, learning_rate)
    limits = dict.fromkeys(own, float32_limit(0.0, 0.0, None).limit) | {
        name: _limit(judge, framework, precision, start, name) for name in expected.keys() - own.keys() - {"step"}
    }
    return max(
        _compared(
            f"{where}, {name}{' of its own first mean' if name in own else ''}", found[name], array,
            judge.scales.get(place(start, name), 0.0), limits.get(name, 0.0), framework, "float32",
        )
        for name, array in (expected | own).items()
    )  # fmt: skip


def _of_its_own_means(before: State, step: int, found: Arrays, learning_rate: float) -> Arrays:
    """Parameters and second means that Adam makes of a variant's own first means, in float64.

    Adam divides a gradient by its size: what a lower precision does to a small one shows at full size in a parameter,
    and says nothing. But what Adam did with it, it did in float32.
    """
    made: Arrays = {}
    for name, parameter in before.parameters.items():
        mean = found[f"exp_avg.{name}"].astype(float)
        gradient = (mean - BETAS[0] * before.optimizer.get(f"exp_avg.{name}", 0.0)) / (1 - BETAS[0])
        square = BETAS[1] * before.optimizer.get(f"exp_avg_sq.{name}", 0.0) + (1 - BETAS[1]) * gradient**2
        size = np.sqrt(square / (1 - BETAS[1] ** step)) + EPSILON
        made[f"exp_avg_sq.{name}"] = square
        made[name] = parameter - learning_rate * mean / (1 - BETAS[0] ** step) / size
    return made


def _expect_rounded_once(
    judge: Judge, framework: Framework, precision: str, start: int, found: Arrays, where: str
) -> None:
    """Products were rounded, and Adam's memory was not: a loop that rounds nothing is no bfloat16."""
    for name in _gradients(judge):
        if np.array_equal(rounded(found[name], MANTISSA_BITS[precision]), found[name]):
            raise _Differs(
                f"{where}, {name}: no more than {MANTISSA_BITS[precision]} mantissa bits, expected float32's"
            )
        if precision == "bfloat16" and start == 0:
            apart = difference(found[name], judge.states[1].optimizer[name], judge.scales[place(0, name)])
            if apart <= _limit(judge, framework, "float32", 0, name):
                raise _Differs(f"{where}, {name}: as near to the judge as float32, so nothing was rounded to bfloat16")


def _two_steps(judge: Judge, framework: Framework, precision: str, drive: Drive, first: Outcome) -> float:
    """Two steps in one run against the first and one more: the second has to round what the first has made."""
    where = f"{precision}, two steps together"
    together = drive("float32", 0, 2, judge.states[0])
    second = drive("float32", 1, 1, first.state)
    _expect_losses(together.losses, 2, where)
    limit = _limit(judge, framework, precision, 1, "loss")
    expected = np.asarray(second.losses[0], float)
    return _compared(
        f"{where}, loss", together.losses[1], expected, judge.scales[place(1, "loss")], limit, framework, "float32"
    )


def _limit(judge: Judge, framework: Framework, precision: str, start: int, name: str) -> float:
    """Of a step in the timed dtype: from what the other framework's own step shows, where there is the other.

    In a lower precision, of a loss or a first mean: of nothing else does what emulation shows say anything.
    """
    other = OTHER[framework] if OTHER[framework] in judge.distances else framework
    at = place(start, name)
    # Adam's first mean is a tenth of the gradient: what a lower precision does to the gradient, it shows undiminished.
    capped = precision == "float32" and start == 0 and name.startswith("exp_avg.")
    coarse = judge.coarse["tf32"][at] if capped else None
    limit = float32_limit(judge.distances[other][at], judge.noises[other][at], coarse).limit
    if precision == "float32":
        return limit
    # The largest at any start: at one of them rounding may cancel by chance.
    furthest = max(judge.coarse[precision][place(begun, name)] for begun in judge.starts)
    if precision == "bfloat16" and name.endswith(".bias"):
        # Its gradient is a sum over the batch, which XLA rounds as it adds.
        furthest = max(furthest, 2.0**-BFLOAT16_BITS)
    return max(limit, COARSE_FACTOR * furthest)


def _power(judge: Judge, framework: Framework) -> float:
    return max(
        judge.coarse["tf32"][place(0, name)] / _limit(judge, framework, "float32", 0, name)
        for name in _gradients(judge)
    )


def _gradients(judge: Judge) -> list[str]:
    """The tensors that show the first gradient: Adam's first means after a step."""
    return [name for name in _flat(judge.states[1]) if name.startswith("exp_avg.")]


def _compared(
    where: str, found: Array, expected: Array, scale: float, limit: float, framework: Framework, dtype: Dtype
) -> float:
    """The difference over its limit. Raises `_Differs` where it is above 1, or where there is nothing to compare."""
    found = np.asarray(found)
    if why := fault(found, framework, dtype):
        raise _Differs(f"{where}: {why.note}")
    if exact(Key("trajectory", 0, where), np.asarray(expected)):
        if not np.array_equal(found, expected):
            raise _Differs(f"{where}: {found}, expected {expected}")
        return 0.0
    apart = difference(found, expected, scale)
    if not apart <= limit:
        raise _Differs(f"{where}: {apart:.1e} from the judge, limit {limit:.1e}")
    return apart / limit


def _expect_losses(losses: Array, count: int, where: str) -> None:
    if losses.shape != (count,):
        raise _Differs(f"{where}: losses of shape {losses.shape}, expected ({count},): a step left out or one too many")


def _expect_tensors(found: State, expected: State, where: str) -> None:
    held, wanted = _flat(found), _flat(expected)
    if odd := sorted(held.keys() ^ wanted.keys()):
        raise _Differs(f"{where}: {odd[0]} is on one side only")
    for name, array in wanted.items():
        if np.shape(held[name]) != array.shape:
            raise _Differs(f"{where}, {name}: shape {np.shape(held[name])}, expected {array.shape}")


def _flat(state: State) -> dict[str, Array]:
    return state.parameters | state.optimizer
