"""Right or not counted: a variant against the judge, in float64 over all steps, and step by step as it is timed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np

from benchmarks.judge import Judge, place
from benchmarks.prepared import Outcome
from parity.judging.difference import difference, exact, fault
from parity.judging.factors import MINIMUM_POWER
from parity.judging.limits import float32_limit
from parity.recording import Array, Arrays, Dtype, Framework, Key, State

OTHER: dict[Framework, Framework] = {"torch": "jax", "jax": "torch"}
COARSE_FACTOR = 4.0
"""Loss and gradients in TF32 or bfloat16 may be this many times as far as the same emulated is at most, at any start.
Measured on a CPU, MLP and MNIST, bfloat16: 1.8. bfloat16 keeps three bits less than TF32, and is 8 times as far."""
BETAS, EPSILON = (0.9, 0.999), 1e-8


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
        timed = 0.0
        for start in judge.starts:
            outcome = drive("float32", start, 1, judge.states[start])
            timed = max(timed, _one_step(judge, framework, precision, learning_rate, start, outcome))
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
    _expect_names(outcome.state, judge.states[judge.steps], "float64")
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
    _expect_names(outcome.state, judge.states[start + 1], where)
    found = {"loss": outcome.losses[0]} | _flat(outcome.state)
    expected = {"loss": judge.losses[start]} | _flat(judge.states[start + 1])
    if precision == "bfloat16" and start == 0:
        _expect_rounded(judge, framework, found, where)
    if precision != "float32":
        expected |= _of_its_own_gradient(judge.states[start], start + 1, found, learning_rate)
    return max(
        _compared(
            f"{where}, {name}", found[name], array, judge.scales.get(place(start, name), 0.0),
            _limit(judge, framework, precision, start, name) if name != "step" else 0.0, framework, "float32",
        )
        for name, array in expected.items()
    )  # fmt: skip


def _of_its_own_gradient(before: State, step: int, found: Arrays, learning_rate: float) -> Arrays:
    """Parameters and second means that Adam makes of a variant's own first means, in float64.

    Adam divides a gradient by its size: what a lower precision does to a small one shows at full size in a parameter,
    and says nothing. But what Adam did with it, it did in float32. Source: Kingma and Ba, Adam, 2015, algorithm 1.
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


def _expect_rounded(judge: Judge, framework: Framework, found: Arrays, where: str) -> None:
    """What bfloat16 rounds is nowhere as near to the judge as float32: a loop that forgets to round is no bfloat16."""
    for name in _gradients(judge):
        scale, limit = judge.scales[place(0, name)], _limit(judge, framework, "float32", 0, name)
        if difference(found[name], judge.states[1].optimizer[name], scale) <= limit:
            raise _Differs(f"{where}, {name}: as near to the judge as float32, so nothing was rounded to bfloat16")


def _limit(judge: Judge, framework: Framework, precision: str, start: int, name: str) -> float:
    """Of a step in the timed dtype: from what the other framework's own step shows, where there is the other."""
    other = OTHER[framework] if OTHER[framework] in judge.distances else framework
    at, kind = place(start, name), name.partition(".")[0]
    # Adam's first mean is a tenth of the gradient: what a lower precision does to the gradient, it shows undiminished.
    capped = precision == "float32" and start == 0 and kind == "exp_avg"
    coarse = judge.coarse["tf32"][at] if capped else None
    limit = float32_limit(judge.distances[other][at], judge.noises[other][at], coarse).limit
    if precision == "float32" or kind not in ("loss", "exp_avg"):
        return limit
    # The largest at any start: at one of them rounding may cancel by chance.
    alike = (far for of, far in judge.coarse[precision].items() if of.partition("/")[2].partition(".")[0] == kind)
    return max(limit, COARSE_FACTOR * max(alike))


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
        raise _Differs(f"{where}: {why}")
    if found.shape != expected.shape:
        raise _Differs(f"{where}: shape {found.shape}, expected {expected.shape}")
    if exact(Key("trajectory", 0, where), np.asarray(expected)):
        if not np.array_equal(found, expected):
            raise _Differs(f"{where}: {found}, expected {expected}")
        return 0.0
    apart = difference(found, expected, scale)
    if apart > limit:
        raise _Differs(f"{where}: {apart:.1e} from the judge, limit {limit:.1e}")
    return apart / limit


def _expect_losses(losses: Array, count: int, where: str) -> None:
    if losses.shape != (count,):
        raise _Differs(f"{where}: losses of shape {losses.shape}, expected ({count},): a step left out or one too many")


def _expect_names(found: State, expected: State, where: str) -> None:
    if set(_flat(found)) != set(_flat(expected)):
        odd = sorted(set(_flat(found)) ^ set(_flat(expected)))
        raise _Differs(f"{where}: {odd[0]} is on one side only")


def _flat(state: State) -> dict[str, Array]:
    return state.parameters | state.optimizer
