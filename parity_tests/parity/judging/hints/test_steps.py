"""How a difference stands to the steps around it is told from recordings of several steps."""

from __future__ import annotations

import numpy as np
import pytest

from parity.judging.hints.constants import RATE_IN_FLOAT32
from parity.judging.hints.looks_like import looks_like
from parity.judging.hints.steps import against_neighbours, of_change, unmoved
from parity.recording import Array, Key, Recording
from parity_tests.parity.judging.hints.made_cases import case, drawn, noisy, words
from parity_tests.parity.made_recordings import recording

STEPS = [drawn(4, 4, seed=seed) for seed in range(1, 4)]
START = drawn(4, 4)


def backward(*steps: Array) -> Recording:
    return recording(*(("backward", step, {"w": array}) for step, array in enumerate(steps)))


def told(*steps: Array) -> str:
    return words(next(against_neighbours(case(Key("backward", 1, "w"), (backward(*STEPS), backward(*steps)))), None))


def test_a_step_late_or_early_is_told_and_a_gradient_that_is_not_zeroed() -> None:
    first, second, third = STEPS
    assert told(first, first, second) == "one step late"
    assert told(second, third, third) == "one step early"
    not_zeroed = "added to the value of the step before, as where a gradient is not zeroed"
    assert told(first, first + second, third) == not_zeroed
    assert told(first + third, first + third + second, third) == not_zeroed


@pytest.mark.parametrize(
    "second", [noisy(STEPS[0]), 2 * STEPS[0], noisy(STEPS[0] + STEPS[1]), -STEPS[1], STEPS[1]], ids=range(5)
)
def test_what_only_resembles_a_neighbour_is_not_told(second: Array) -> None:
    assert told(STEPS[0], second, STEPS[2]) == ""


def test_only_gradients_are_told_to_be_added() -> None:
    seconds = STEPS[1], STEPS[1] + STEPS[0]
    sides = (recording(("forward", 0, {"x": STEPS[0]}), ("forward", 1, {"x": second})) for second in seconds)
    assert list(against_neighbours(case(Key("forward", 1, "x"), sides))) == []


def moved(change: Array) -> str:
    sides = (recording(("init", 0, {"w": START}), ("update", 0, {"w": START + by})) for by in (STEPS[0], change))
    return words(next(of_change(case(Key("update", 0, "w"), sides)), None))


def test_a_parameter_is_told_by_how_it_moved() -> None:
    assert moved(-STEPS[0]) == "as with a change of the opposite sign"
    assert moved(1.01 * STEPS[0]) == "as with a change 1.01 times as large"
    assert moved(0.9 * STEPS[0]) == "as with a change 0.9 times as large"
    # A few operations in float32 are at most 1e-6 off, on either side.
    assert moved(np.float64(np.float32(0.1)) / 0.1 * STEPS[0]) == RATE_IN_FLOAT32
    assert moved((1 - 9e-7) * STEPS[0]) == RATE_IN_FLOAT32
    assert moved((1 + 2e-6) * STEPS[0]) == "as with a change 1 + 2e-06 times as large"
    assert moved(noisy(1.01 * STEPS[0])) == moved(STEPS[1]) == moved(0 * START) == ""


@pytest.mark.parametrize("start", [START, 0 * START], ids=["from anywhere", "from zero"])
def test_a_parameter_that_one_side_leaves_is_told_also_where_it_is_zero(start: Array) -> None:
    key = Key("update", 0, "w")
    first, second = (
        recording(("init", 0, {"w": start}), ("update", 0, {"w": start + by})) for by in (STEPS[0], 0 * START)
    )
    assert words(next(unmoved(case(key, (first, second))))) == "not moved"
    assert words(next(unmoved(case(key, (second, first))))) == "moved, where the other did not"
    assert looks_like(key, first, second, "jax") == "on the jax side it is not moved"
    assert list(unmoved(case(key, (first, first)))) == []


def test_a_small_change_of_a_large_parameter_is_told_as_far_as_rounding_lets() -> None:
    start, change = drawn(8, 8), drawn(8, 8, seed=1)
    large = start + 1e6
    for small, expected in ((1e-3, "as with a change 1.01 times as large"), (1e-9, "")):
        ends = (np.asarray(large + factor * small * change) for factor in (1, 1.01))
        sides = (recording(("init", 0, {"w": large}), ("update", 0, {"w": end})) for end in ends)
        assert words(next(of_change(case(Key("update", 0, "w"), sides)), None)) == expected
