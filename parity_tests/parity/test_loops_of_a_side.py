"""The loops that a side brings along: driven where they can run, and caught where they are wrong.

One check drives all wrong loops of a side, since each is compared on its own.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import pytest

from parity.judging.check import check
from parity.recording import FRAMEWORKS, Framework, State
from parity.verdict import Comparison, Verdict
from parity_tests.parity.tiny import Mistake, Run, loops, tiny

pytestmark = pytest.mark.usefixtures("compiled_quickly")

STEPS = 2
ALL = None
both_sides = pytest.mark.parametrize("framework", FRAMEWORKS)


@cache
def right() -> Verdict:
    """Of right loops, beside one that cannot run here and one that was not asked for; neither can be driven at all."""
    torch = loops("torch") | {"loops": ("stepped", "captured"), "missing": missing}
    jax = loops("jax") | {"loops": ("stepped", "compiled")}
    return check(tiny(STEPS, torch, jax), loops=("stepped", "captured"))


def missing(loop: str, device: str) -> str:
    return f"{loop} needs a GPU" if loop == "captured" else ""


def of_loops(verdict: Verdict) -> list[Comparison]:
    return [comparison for comparison in verdict.comparisons if comparison.loop]


def first_of(verdict: Verdict, name: str) -> Comparison:
    """The first difference that a loop shows."""
    found = [c for c in of_loops(verdict) if c.outcome == "differ" and str(c.loop).endswith(name)]
    return min(found, key=lambda c: c.key.flow())


# Right loops


def test_right_loops_agree() -> None:
    assert right().outcome == "agree"


def test_a_loop_that_cannot_run_or_was_not_asked_for_is_not_driven() -> None:
    assert right().loops == {"torch": {"stepped": "", "captured": "captured needs a GPU"}, "jax": {"stepped": ""}}
    assert {c.loop for c in of_loops(right())} == {"torch stepped", "jax stepped", "stepped"}


@both_sides
def test_in_float64_every_loss_and_the_state_at_the_end_are_compared(framework: Framework) -> None:
    found = [c.key for c in of_loops(right()) if c.dtype == "float64" and c.loop == f"{framework} stepped"]
    assert {key.stage for key in found} == {"trajectory"}
    assert [key.step for key in found if key.tensor == "loss"] == list(range(STEPS))
    last = {key.tensor for key in found if key.tensor != "loss"}
    assert last >= {"step", "inner.weight", "exp_avg.inner.weight", "exp_avg_sq.outer.bias"}
    assert {key.step for key in found if key.tensor != "loss"} == {STEPS - 1}


@both_sides
def test_in_float32_one_step_from_each_start_is_compared(framework: Framework) -> None:
    found = [c for c in of_loops(right()) if c.dtype == "float32" and c.side == framework]
    for tensor in ("loss", "inner.weight", "exp_avg.inner.weight"):
        assert [c.key.step for c in found if c.key.tensor == tensor] == [0, 1]


# Loops that are wrong in float64


def changed(change: Callable[[Run], Any]) -> Mistake:
    """What the loop gives back is changed."""
    return lambda right: lambda **asked: change(right(**asked))


def losses(change: Callable[[Any], Any]) -> Mistake:
    return changed(lambda run: (change(run[0]), run[1]))


def end(parameters: Callable[..., Any] = dict, optimizer: Callable[..., Any] = dict) -> Mistake:
    return changed(lambda run: (run[0], State(parameters(run[1].parameters), optimizer(run[1].optimizer))))


def asked_for(**others: Any) -> Mistake:
    """The loop does something else than it was asked for."""
    return lambda right: lambda **asked: right(**(asked | others))


def swapped(moments: dict[str, Any]) -> dict[str, Any]:
    return moments | {name.replace("_sq.", "."): array for name, array in moments.items() if "_sq." in name}


WRONG: dict[str, tuple[Mistake, int, str, str]] = {
    "a loss too few": (losses(lambda found: found[:-1]), 1, "loss", "missing on the {} side"),
    "no losses": (losses(lambda found: found[:0]), 0, "loss", "missing on the {} side"),
    "losses of another shape": (losses(lambda found: found[:, None]), 0, "loss", "(1,)"),
    "losses in float32": (losses(lambda found: found.astype(np.float32)), 0, "loss", "float32 on the {} side"),
    "losses one step late": (losses(lambda found: np.roll(found, 1)), 0, "loss", ""),
    "a loss off by 1e-9": (losses(lambda found: found * [1, 1 + 2e-9]), 1, "loss", ""),
    "a NaN loss": (losses(lambda found: found * [np.nan, 1]), 0, "loss", "NaN on the {} side"),
    "another seed": (asked_for(seed=7), 0, "loss", ""),
    "no optimizer state": (end(optimizer=lambda _: {}), 1, "exp_avg.inner.weight", "missing on the {} side"),
    "moments swapped": (end(optimizer=swapped), 1, "exp_avg.inner.weight", ""),
    "a step too many": (end(optimizer=lambda o: o | {"step": o["step"] + 1}), 1, "step", "not bit for bit the same"),
    "no parameters": (end(lambda _: {}), 1, "inner.weight", "missing on the {} side"),
    "an infinity": (end(lambda p: p | {"inner.bias": np.full(6, np.inf)}), 1, "inner.bias", "infinity on the {}"),
    "a transposed weight": (end(lambda p: p | {"outer.weight": p["outer.weight"].T}), 1, "outer.weight", "(6, 4)"),
    "an array too many": (end(lambda p: p | {"extra": np.ones(2)}), 1, "extra", "missing on the "),
}


@cache
def wrong() -> Verdict:
    """Of both sides with all wrong loops."""
    mistakes = {name: mistake for name, (mistake, *_) in WRONG.items()}
    return check(tiny(STEPS, loops("torch", mistakes), loops("jax", mistakes)), loops=ALL)


@pytest.mark.parametrize("mistake", WRONG)
@both_sides
def test_a_loop_that_gives_back_something_wrong_is_caught(framework: Framework, mistake: str) -> None:
    _, step, tensor, note = WRONG[mistake]
    assert wrong().outcome == "differ"
    found = first_of(wrong(), f"{framework} {mistake}")
    assert (found.key, found.dtype) == (("trajectory", step, tensor), "float64")
    assert note.format(framework) in found.note


def test_the_right_loop_beside_the_wrong_ones_agrees() -> None:
    beside = [c for c in of_loops(wrong()) if str(c.loop).endswith("stepped")]
    assert {c.outcome for c in beside} == {"agree"}


def test_the_verdict_says_in_which_loop_it_differs_first() -> None:
    assert wrong().first_difference is not None
    assert ", loop torch " in str(wrong().first_difference)


# Loops that are wrong only from a state that they were given


def in_float32(right: Callable[..., Run]) -> Callable[..., Run]:
    """One per cent off in float32."""

    def train(**asked: Any) -> Run:
        found, (parameters, optimizer) = right(**asked)
        factor = 1.01 if asked["dtype"] == "float32" else 1.0
        return found, State({name: array * np.float32(factor) for name, array in parameters.items()}, optimizer)

    return train


IN_LOCKSTEP: dict[str, tuple[Mistake, int, str]] = {
    "begins at the first batch": (asked_for(start=0), 1, "loss"),
    "takes no state": (asked_for(state=None), 1, "loss"),
    "coarse in float32": (in_float32, 0, "inner.weight"),
}


@cache
def wrong_in_lockstep(framework: Framework) -> Verdict:
    mistakes = {name: mistake for name, (mistake, *_) in IN_LOCKSTEP.items()}
    parts = {side: loops(side, mistakes if side == framework else None) for side in FRAMEWORKS}
    return check(tiny(STEPS, parts["torch"], parts["jax"]), loops=ALL)


@pytest.mark.parametrize("mistake", IN_LOCKSTEP)
@both_sides
def test_a_loop_that_goes_wrong_from_the_judges_state_is_caught(framework: Framework, mistake: str) -> None:
    _, step, tensor = IN_LOCKSTEP[mistake]
    assert wrong_in_lockstep(framework).outcome == "differ"
    found = first_of(wrong_in_lockstep(framework), mistake)
    assert (found.key, found.dtype, found.side) == (("trajectory", step, tensor), "float32", framework)


@both_sides
def test_a_loop_that_the_other_side_has_not_is_measured_against_its_first(framework: Framework) -> None:
    """And the other side is not blamed for it."""
    for name in IN_LOCKSTEP:
        found = [c for c in of_loops(wrong_in_lockstep(framework)) if c.loop == name]
        assert {c.side for c in found} <= {framework, None}
    beside = [c for c in of_loops(wrong_in_lockstep(framework)) if c.loop == "stepped"]
    assert {c.side for c in beside} >= set(FRAMEWORKS)
    assert {c.outcome for c in beside} == {"agree"}
