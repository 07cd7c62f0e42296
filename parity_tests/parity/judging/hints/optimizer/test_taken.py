"""A step is gathered from both recordings, and constants are solved from it as far as they can be told."""

from __future__ import annotations

import numpy as np

from parity.judging.hints.optimizer.sgd import BUFFER
from parity.judging.hints.optimizer.taken import same, solved, taken
from parity.recording import Key
from parity_tests.parity.judging.hints.made_cases import apart, case, drawn
from parity_tests.parity.judging.hints.made_steps import gradients, side, start, taken_otherwise
from parity_tests.parity.judging.hints.optimizer.test_sgd import sgd

RIGHT, WRONG = sgd(momentum=0.9), sgd(rate=0.2, momentum=0.9)


def test_all_parameters_are_gathered_first_and_then_the_one_alone() -> None:
    whole, alone = taken(taken_otherwise(RIGHT, WRONG, 2), (BUFFER,))
    assert (whole.before.size, alone.before.size) == (12 * 8 + 12 + 5 * 12, 12 * 8)
    assert (whole.alone, alone.alone, whole.count) == (False, True, 2)
    assert np.array_equal(alone.gradient, gradients(1, start())["a.weight"].ravel())
    assert np.allclose(alone.memory_expected[BUFFER], 0.9 * alone.memory[BUFFER] + alone.gradient)
    assert same(alone.remembered(BUFFER))
    assert not same(alone.apart)


def test_a_moment_belongs_to_its_parameter() -> None:
    for tensor in ("momentum_buffer.b.weight", "b.weight"):
        _, alone = taken(taken_otherwise(RIGHT, WRONG, 1, tensor), (BUFFER,))
        assert alone.before.size == 60


def test_nothing_is_gathered_of_another_optimizer_or_of_what_is_no_step() -> None:
    made = taken_otherwise(RIGHT, WRONG, 1)
    assert list(taken(made, ())) == []
    assert list(taken(made, ("exp_avg", "exp_avg_sq"))) == []
    sides = (side(1, optimizer, start()) for optimizer in (RIGHT, WRONG))
    assert list(taken(case(Key("trajectory", 0, "gradient.a.weight"), sides), (BUFFER,))) == []


def test_nothing_is_gathered_where_a_side_recorded_less() -> None:
    expected, found = (side(1, optimizer, start()) for optimizer in (RIGHT, WRONG))
    del found.groups["update", 0]["momentum_buffer.a.weight"]
    assert list(taken(case(Key("update", 0, "a.weight"), (expected, found)), (BUFFER,))) == []


def test_constants_are_solved_by_least_squares_and_not_where_any_would_do() -> None:
    first, second = drawn(50), drawn(50, seed=1)
    assert np.allclose(solved(2 * first - 3 * second, first, second), [2, -3])
    assert np.allclose(solved(2 * first, first, weight=np.abs(second)), [2])
    assert np.isnan(solved(first, first, 2 * first)).all()
    assert np.isnan(solved(first, 0 * first)).all()


def test_rounding_is_the_same() -> None:
    here = drawn(50)
    assert same(apart(here, here * (1 + 1e-12)))
    assert not same(apart(here, here * (1 + 1e-6)))
