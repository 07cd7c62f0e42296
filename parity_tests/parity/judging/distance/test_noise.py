"""Noise is the largest difference of a side from itself over the draws made so far, and grows along the run."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from parity.judging.distance.difference import scales
from parity.judging.distance.factors import NOISE_DRAWS
from parity.judging.distance.noise import Noise, RecordedNoise, aside
from parity.recording import Arrays, Key, Provenance, Recording
from parity_tests.parity.made_recordings import replayed


def run(initial: Arrays) -> Recording:
    """A run that doubles what it is given, and what it has been moved by, at every step."""
    found = Recording(Provenance("torch", {}, "cpu", "x", "float64", "float32", True))
    for step in range(4):
        found.add("trajectory", step, {"w": 1 + (initial["w"] - 1) * 2.0**step, "step": np.asarray(step)})
    return found


def noise(calls: list[int]) -> Noise:
    start = {"w": np.ones(3)}

    def rerun(move: Callable[[Arrays], Arrays], into: Recording) -> None:
        moved = move(start)
        calls.append(int(np.any(moved["w"] != 1)))
        replayed(run(moved), into)

    base = run(start)
    return Noise(base, rerun, scales([base]), seed=0)


def test_nothing_is_drawn_before_it_is_asked_for() -> None:
    calls: list[int] = []
    assert noise(calls).of(Key("trajectory", 3, "w")) == 0
    assert calls == []


def test_it_is_drawn_so_often_and_the_last_time_undisturbed() -> None:
    calls: list[int] = []
    drawn = noise(calls)
    while drawn.draw():
        pass
    assert calls == [1] * (NOISE_DRAWS - 1) + [0]
    assert not drawn.draw()


def test_it_grows_along_the_run_and_whole_numbers_have_none() -> None:
    drawn = noise([])
    drawn.draw()
    found = [drawn.of(Key("trajectory", step, "w")) for step in range(4)]
    assert found[3] == 8 * found[0] > 0
    assert drawn.of(Key("trajectory", 3, "step")) == 0


def test_two_runs_that_come_nearer_again_have_no_less_noise_for_it() -> None:
    drifts = iter((1e-9, 4e-9, 2e-9, 0.0))
    base, again = run({"w": np.ones(3)}), run({"w": np.ones(3)})
    for step in range(4):
        again.add("trajectory", step, {"w": np.full(3, 1 + next(drifts))})
    drawn = Noise(base, lambda _, into: replayed(again, into), scales([base]), seed=0)
    drawn.draw()
    assert [drawn.of(Key("trajectory", step, "w")) for step in range(4)] == pytest.approx([1e-9, 4e-9, 4e-9, 4e-9])


def test_an_undisturbed_repeat_that_differs_is_noise_too() -> None:
    start, count = {"w": np.ones(3)}, iter(range(10))
    base = run(start)

    def rerun(_: object, into: Recording) -> None:
        replayed(run({"w": start["w"] + 1e-9 * next(count)}), into)

    drawn = Noise(base, rerun, scales([base]), seed=0)
    while drawn.draw():
        pass
    assert drawn.of(Key("trajectory", 0, "w")) > 1e-9


def test_a_smaller_draw_does_not_take_back_a_larger_one() -> None:
    start, sizes = {"w": np.ones(3)}, iter((1e-3, 1e-6, 0.0))
    base = run(start)

    def rerun(_: object, into: Recording) -> None:
        replayed(run({"w": start["w"] + next(sizes)}), into)

    drawn = Noise(base, rerun, scales([base]), seed=0)
    key, seen = Key("trajectory", 0, "w"), []
    while drawn.draw():
        seen.append(drawn.of(key))
    assert seen == [seen[0]] * NOISE_DRAWS
    assert seen[0] > 0


def test_what_only_one_of_the_runs_has_and_what_is_bit_exact_have_none() -> None:
    base, again = (run({"w": np.full(3, value)}) for value in (1.0, 1.5))
    again.add("trajectory", 1, {"more": np.ones(2)})
    base.add("trajectory", 1, {"less": np.ones(2)})
    for which, value in ((base, 1.0), (again, 1.5)):
        which.add("init", 0, {"w": np.full(3, value)})
    drawn = Noise(base, lambda _, into: replayed(again, into), scales([base]), seed=0)
    assert drawn.draw()
    found = {name: drawn.of(Key("trajectory", 1, name)) for name in ("more", "less", "w")}
    assert found["w"] > 0
    assert found["more"] == found["less"] == drawn.of(Key("init", 0, "w")) == 0


def test_a_shorter_run_tells_the_noise_as_far_as_it_goes() -> None:
    base, again = run({"w": np.ones(3)}), run({"w": np.full(3, 1.5)})
    del again.groups["trajectory", 3]
    drawn = Noise(base, lambda _, into: replayed(again, into), scales([base]), seed=0)
    assert drawn.draw()
    assert [drawn.of(Key("trajectory", step, "w")) > 0 for step in range(4)] == [True, True, True, False]


def test_recorded_draws_give_the_same_noise_in_whatever_scale_is_known_later() -> None:
    start = {"w": np.ones(3)}
    base = run(start)

    def rerun(move: Callable[[Arrays], Arrays], into: Recording) -> None:
        replayed(run(move(start)), into)

    draws = [aside(base, rerun, 0, draw) for draw in range(1, NOISE_DRAWS + 1)]
    for found in (scales([base]), scales([base, run({"w": np.full(3, 9.0)})])):
        live, recorded = Noise(base, rerun, found, seed=0), RecordedNoise(draws, found)
        while live.draw():
            assert recorded.draw()
            assert [recorded.of(key) for key in base.flow()] == [live.of(key) for key in base.flow()]
        assert not recorded.draw()
        assert recorded.of(Key("trajectory", 3, "w")) > 0
