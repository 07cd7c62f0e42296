"""A run that is measured as it goes on is measured as a whole one is, and is not held."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest

from parity.arrays.rounding import moved
from parity.judging.distance.difference import apart, exact
from parity.judging.distance.drift import Drift
from parity.recording import FRAMEWORKS, Framework, Key, Recording
from parity.sides.runs import free_run, lockstep
from parity_tests.parity.made_recordings import recording
from parity_tests.parity.tiny import live, same

pytestmark = pytest.mark.usefixtures("compiled_once")

SEED, STEPS = 3, 5


def whole_against(base: Recording, run: Recording) -> dict[Key, float]:
    found = {}
    for key in run.flow():
        array, before = run.get(key), base.get(key)
        if array is not None and before is not None and not exact(key, array):
            found[key] = apart(array, before, key)
    return found


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_a_training_from_moved_parameters_is_measured_as_one_that_is_held(framework: Framework) -> None:
    side = live(framework)
    base = free_run(side, SEED, STEPS)
    aside = moved(side.initial(SEED), ulps=1, seed=1)
    drift = Drift(base)
    free_run(side, SEED, STEPS, aside, into=drift)
    expected = whole_against(base, free_run(side, SEED, STEPS, aside))
    assert drift.apart == expected
    assert list(drift.apart) == list(expected)
    assert max(expected.values()) > 0


def test_so_are_steps_in_lockstep() -> None:
    side = live("torch")
    judge = free_run(side, SEED, STEPS)
    move = partial(moved, ulps=1, seed=1)
    drift = Drift(judge)
    lockstep(side, judge, SEED, STEPS, move=move, into=drift)
    assert drift.apart == whole_against(judge, lockstep(side, judge, SEED, STEPS, move=move))


def test_no_more_is_held_than_the_next_step_begins_from() -> None:
    side = live("torch")
    base = free_run(side, SEED, STEPS)
    drift = Drift(base)
    free_run(side, SEED, STEPS, into=drift)
    assert set(drift.groups) == {("init", 0), ("trajectory", STEPS - 1)}
    ended = drift.state_before(STEPS)
    assert same(ended.parameters, base.state_before(STEPS).parameters)
    assert same(ended.optimizer, base.state_before(STEPS).optimizer)


def test_what_is_compared_bit_by_bit_or_is_not_in_the_base_has_no_distance() -> None:
    held = {"w": np.ones(2), "calls": np.array(3)}
    drift = Drift(recording(("forward", 0, held), ("init", 0, held)))
    for stage in ("init", "forward"):
        drift.add(stage, 0, {"w": np.full(2, 1.5), "calls": np.array(4), "more": np.ones(1)})
    assert drift.apart == {Key("forward", 0, "w"): 0.5}


def test_a_name_behind_a_prefix_is_measured_under_it() -> None:
    drift = Drift(recording(("trajectory", 0, {"gradient.w": np.ones(2), "w": np.zeros(2)})))
    drift.add("trajectory", 0, {"w": np.full(2, 1.25)}, prefix="gradient.")
    assert drift.apart == {Key("trajectory", 0, "gradient.w"): 0.25}
