"""Each part of the check, on a judge and outcomes made up: what passes, and what is caught where."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from benchmarks.checking import check
from benchmarks.judge import Judge, place
from benchmarks.prepared import Outcome
from parity.arrays.rounding import rounded
from parity.recording import State

STEPS, RATE = 2, 0.03
GRADIENT = np.array([[1.0, 2.0], [3.0, 4.0]])


def state(step: int) -> State:
    """After so many steps of Adam with one gradient, whose corrected means are the gradient and its square."""
    weights = GRADIENT - step * RATE * GRADIENT / (GRADIENT + 1e-8)
    if step == 0:
        return State({"w": weights}, {})
    mean, square = (1 - 0.9**step) * GRADIENT, (1 - 0.999**step) * GRADIENT**2
    return State({"w": weights}, {"step": np.array(step), "exp_avg.w": mean, "exp_avg_sq.w": square})


def made(coarse: float = 1e-3) -> Judge:
    tensors = ("loss", "w", "exp_avg.w", "exp_avg_sq.w")
    places = [place(step, tensor) for step in range(STEPS) for tensor in tensors]
    scales = {place(step, t): float(np.max(np.abs(a))) for step in range(STEPS) for t, a in flat(step + 1).items()}
    figures = dict.fromkeys(places, 1e-7)
    return Judge(
        losses=np.array([2.0, 1.0]),
        states={step: state(step) for step in range(STEPS + 1)},
        scales=scales | {place(step, "loss"): 2.0 for step in range(STEPS)},
        limits=dict.fromkeys([*places, place(STEPS - 1, "step")], 1e-12),
        distances={"torch": figures, "jax": figures},
        noises={"torch": dict.fromkeys(places, 0.0), "jax": dict.fromkeys(places, 0.0)},
        coarse={"tf32": dict.fromkeys(places, coarse), "bfloat16": dict.fromkeys(places, 8 * coarse)},
    )


def flat(step: int) -> dict[str, Any]:
    return {name: array for part in state(step) for name, array in part.items() if name != "step"}


def drive(change: Callable[[Outcome, str, int], Outcome] = lambda outcome, dtype, start: outcome) -> Any:
    """A variant that does what the judge did, in its dtype, but for what is changed."""

    def driven(dtype: Any, start: int, count: int, given: State | None) -> Outcome:
        after = state(start + count)
        held = [
            {name: array if array.dtype.kind == "i" else array.astype(dtype) for name, array in part.items()}
            for part in after
        ]
        losses = made().losses[start : start + count].astype(dtype)
        return change(Outcome(losses, State(*held)), dtype, start)

    return driven


def test_what_the_judge_did_is_right() -> None:
    found = check(made(), "torch", "float32", RATE, drive())
    assert (found.outcome, found.reason, found.float64) == ("right", "", 0.0)
    assert found.timed is not None
    assert found.timed < 1


def moved(part: int, name: str, by: float, dtype: str, start: int | None = None) -> Any:
    """One tensor moved, in runs of this dtype from this start."""

    def change(outcome: Outcome, of: str, at: int) -> Outcome:
        if of != dtype or start not in (None, at):
            return outcome
        parts = [dict(held) for held in outcome.state]
        parts[part][name] = parts[part][name] + np.asarray(by, parts[part][name].dtype)
        return outcome._replace(state=State(*parts))

    return drive(change)


@pytest.mark.parametrize(
    ("variant", "reason"),
    [
        (moved(0, "w", 1e-9, "float64"), "float64, the end, w: 2.5e-10 from the judge, limit 1.0e-12"),
        (moved(1, "step", 1, "float64"), "float64, the end, step: 3, expected 2"),
        (moved(0, "w", 1e-2, "float32", 1), "float32, one step from step 1, w: 2.5e-03 from the judge, limit 2.4e-05"),
        (moved(1, "exp_avg.w", 1e-3, "float32", 0), "float32, one step from step 0, exp_avg.w: 2.5e-03 from"),
        (moved(1, "step", 1, "float32", 1), "float32, one step from step 1, step: 3, expected 2"),
        (moved(1, "exp_avg.w", np.nan, "float32", 0), "float32, one step from step 0, exp_avg.w: NaN"),
    ],
)
def test_what_differs_is_told_with_where(variant: Any, reason: str) -> None:
    found = check(made(), "torch", "float32", RATE, variant)
    assert found.outcome == "wrong"
    assert found.reason.startswith(reason)


def test_what_is_within_the_limit_is_right() -> None:
    assert check(made(), "torch", "float32", RATE, moved(0, "w", 3e-12, "float64")).outcome == "right"
    assert check(made(), "torch", "float32", RATE, moved(0, "w", 5e-5, "float32")).outcome == "right"


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda o: o._replace(losses=o.losses[1:]), "losses of shape (1,), expected (2,): a step left out"),
        (lambda o: o._replace(state=State({}, o.state.optimizer)), "float64: w is on one side only"),
        (lambda o: o._replace(state=State({"w": o.state.parameters["w"][0]}, o.state.optimizer)), "shape (2,)"),
        (lambda o: o._replace(losses=o.losses.astype("float32")), "float32 on the torch side of a float64 run"),
        (lambda o: o._replace(losses=o.losses[::-1]), "float64, step 0, loss: 5.0e-01"),
    ],
    ids=["a step left out", "a parameter missing", "another shape", "another dtype", "another order"],
)
def test_what_cannot_be_compared_is_wrong(change: Callable[[Outcome], Outcome], reason: str) -> None:
    variant = drive(lambda outcome, dtype, start: change(outcome) if dtype == "float64" else outcome)
    found = check(made(), "torch", "float32", RATE, variant)
    assert found.outcome == "wrong"
    assert reason in found.reason


def test_without_power_against_lower_precision_nothing_is_right() -> None:
    found = check(made(coarse=1e-5), "torch", "float32", RATE, drive())
    assert (found.outcome, found.reason) == ("inconclusive", "TF32 would be only 0.4 limits away")
    assert check(made(coarse=1e-4), "torch", "float32", RATE, drive()).power == pytest.approx(1e-4 / 2.384e-5, rel=1e-3)


def test_the_cap_stops_tf32_where_the_other_side_is_far_away() -> None:
    """A side that is 1e-4 away would excuse 5e-3; half of what TF32 does is the most that counts as agreement."""
    judge = made()
    for distances in judge.distances.values():
        distances.update(dict.fromkeys(distances, 1e-4))
    variant = moved(1, "exp_avg.w", 0.6e-3 * 0.4, "float32", 0)
    assert check(judge, "jax", "float32", RATE, variant).outcome == "wrong"
    assert check(judge, "jax", "float32", RATE, moved(1, "exp_avg.w", 0.3e-3 * 0.4, "float32", 0)).outcome == "right"


def stepped_by(factor: float) -> Any:
    """A step in float32 whose gradient is off by 1e-3 of its largest entry times this, and all that follows from it."""

    def change(outcome: Outcome, of: str, at: int) -> Outcome:
        if of != "float32" or at != 0:
            return outcome
        gradient = (GRADIENT + factor * 1e-3 * 4).astype("float32")
        optimizer = {"step": np.array(1), "exp_avg.w": gradient / 10, "exp_avg_sq.w": gradient**2 / 1000}
        return outcome._replace(state=State(outcome.state.parameters, optimizer))

    return drive(change)


def test_tf32_is_given_what_emulated_tf32_shows_and_bfloat16_is_not() -> None:
    assert check(made(), "torch", "tf32", RATE, stepped_by(2)).outcome == "right"
    assert check(made(), "torch", "tf32", RATE, stepped_by(8)).outcome == "wrong"
    assert check(made(), "torch", "float32", RATE, stepped_by(2)).outcome == "wrong"


def test_bfloat16_is_given_what_emulated_bfloat16_shows_and_not_what_float32_is() -> None:
    assert check(made(), "torch", "bfloat16", RATE, stepped_by(8)).outcome == "right"
    assert check(made(), "torch", "bfloat16", RATE, stepped_by(64)).outcome == "wrong"
    found = check(made(), "torch", "bfloat16", RATE, drive())
    assert found.outcome == "wrong"
    assert found.reason == (
        "bfloat16, one step from step 0, exp_avg.w: as near to the judge as float32, so nothing was rounded to bfloat16"
    )


def test_bfloat16_is_given_what_emulated_bfloat16_shows_at_any_start() -> None:
    """At one start rounding may cancel by chance, and a step from there be far from what was emulated."""
    judge, at = made(), [place(start, "exp_avg.w") for start in range(STEPS)]
    judge.coarse["bfloat16"][at[0]] = 1e-5
    assert check(judge, "torch", "bfloat16", RATE, stepped_by(8)).outcome == "right"
    judge.coarse["bfloat16"][at[1]] = 1e-5
    found = check(judge, "torch", "bfloat16", RATE, stepped_by(8))
    assert (found.outcome, found.reason.partition(":")[0]) == ("wrong", "bfloat16, one step from step 0, exp_avg.w")


def as_bias(named: Any) -> Any:
    """The same by name, the one parameter being a bias."""
    return {re.sub(r"\bw$", "fc.bias", name): value for name, value in named.items()}


def judge_of_a_bias(coarse: float) -> Judge:
    judge = made(coarse)

    def each(kinds: Any) -> Any:
        return {kind: as_bias(figures) for kind, figures in kinds.items()}

    return replace(
        judge,
        states={step: State(*map(as_bias, held)) for step, held in judge.states.items()},
        scales=as_bias(judge.scales),
        limits=as_bias(judge.limits),
        distances=each(judge.distances),
        noises=each(judge.noises),
        coarse=each(judge.coarse),
    )


def test_a_bias_is_given_a_rounding_of_bfloat16_and_a_weight_is_not() -> None:
    """The gradient of a bias is a sum over the batch, which may be rounded to 2**-7 as it is added, times four."""
    variants = {factor: stepped_by(factor) for factor in (24, 40)}

    def biased(factor: int) -> Any:
        def driven(*how: Any) -> Outcome:
            found: Outcome = variants[factor](*how)
            return found._replace(state=State(*map(as_bias, found.state)))

        return driven

    assert check(judge_of_a_bias(1e-5), "torch", "bfloat16", RATE, biased(24)).outcome == "right"
    assert check(judge_of_a_bias(1e-5), "torch", "bfloat16", RATE, biased(40)).outcome == "wrong"
    assert check(made(1e-5), "torch", "bfloat16", RATE, variants[24]).outcome == "wrong"


@pytest.mark.parametrize(("part", "name"), [(0, "w"), (1, "exp_avg.w"), (1, "exp_avg_sq.w")])
def test_what_adam_does_with_a_rounded_gradient_it_does_in_float32(part: int, name: str) -> None:
    variant = stepped_by(2)

    def rounded_twice(dtype: Any, start: int, count: int, state: State | None) -> Outcome:
        found: Outcome = variant(dtype, start, count, state)
        parts = [dict(held) for held in found.state]
        parts[part][name] = rounded(parts[part][name], 10)
        return found._replace(state=State(*parts)) if dtype == "float32" else found

    found = check(made(), "torch", "tf32", RATE, rounded_twice)
    assert found.outcome == "wrong"
    assert found.reason.startswith(f"tf32, one step from step 0, {name}")


def test_a_second_step_with_what_was_rounded_for_the_first_is_wrong() -> None:
    def stale(outcome: Outcome, of: str, at: int) -> Outcome:
        if of != "float32" or len(outcome.losses) != 2:
            return outcome
        return outcome._replace(losses=np.array([2.0, 2.0], "float32"))

    found = check(made(), "torch", "tf32", RATE, drive(stale))
    assert found.outcome == "wrong"
    assert found.reason.startswith("tf32, two steps together, loss: 5.0e-01 from the judge")


def test_a_side_alone_is_measured_against_its_own_step() -> None:
    judge = made()
    del judge.distances["jax"]
    assert check(judge, "torch", "float32", RATE, drive()).outcome == "right"
