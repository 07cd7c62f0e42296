"""A difference is told in the scale of the tensor so far, and what cannot be compared has a fault."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from parity.judging.distance.difference import difference, exact, fault, scales
from parity.recording import Array, Key, Provenance, Recording


def recording(**steps: list[Array]) -> Recording:
    """Of the trajectory: for each tensor its arrays, step by step."""
    found = Recording(Provenance("torch", {}, "cpu", "x", "float64", "float32", True))
    for name, arrays in steps.items():
        for step, array in enumerate(arrays):
            found.add("trajectory", step, {name.replace("__", "."): array})
    return found


def test_it_is_the_largest_over_the_scale() -> None:
    assert difference(np.array([1.0, 2.0]), np.array([1.0, 2.5]), 10) == 0.05
    assert difference(np.zeros(3), np.zeros(3), 0.0) == 0
    assert difference(np.zeros(3), np.ones(3), 0.0) == math.inf
    assert difference(np.zeros(0), np.zeros(0), 1.0) == 0


def test_float32_is_not_subtracted_in_float32() -> None:
    assert difference(np.array([16777216], np.float32), np.array([16777217.0]), 1.0) == 1


def test_a_nan_is_never_near() -> None:
    assert not difference(np.array([np.nan]), np.array([np.nan]), 1.0) <= 1e9


def test_a_scale_is_the_largest_so_far_on_any_side() -> None:
    one, other = recording(a=[np.ones(2), np.zeros(2)]), recording(a=[np.ones(2), np.full(2, -3.0)])
    assert [scales([one, other]).of[Key("trajectory", step, "a")] for step in (0, 1)] == [1, 3]
    assert scales([one]).of[Key("trajectory", 1, "a")] == 1


def test_a_gradient_far_below_the_others_is_null_and_told_in_their_scale() -> None:
    gradients = {"gradient__big": [np.ones(2)] * 2, "gradient__small": [np.full(2, 1e-17), np.full(2, 1e-12)]}
    found = scales([recording(**gradients)])
    assert found.null == {("trajectory", "gradient.small")}
    assert found.of[Key("trajectory", 0, "gradient.small")] == 1
    gradients["gradient__small"][1] = np.full(2, 1e-8)
    assert not scales([recording(**gradients)]).null
    # A parameter that is small is no gradient.
    assert not scales([recording(weight=[np.full(2, 1e-17)], gradient__big=[np.ones(2)])]).null


def test_a_gradient_is_told_in_the_scale_of_the_others_as_long_as_it_is_null() -> None:
    """As that of a bias before a batch norm is, until a batch hides some of the examples from it."""
    gradients = {
        "gradient__big": [np.ones(2)] * 4,
        "gradient__late": [np.zeros(2), np.full(2, 1e-17), np.full(2, 0.5), np.full(2, 1e-17)],
        "gradient__nothing_yet": [np.zeros(2), np.zeros(2), np.ones(2), np.ones(2)],
    }
    found = scales([recording(**gradients)])
    assert [found.of[Key("trajectory", step, "gradient.late")] for step in range(4)] == [0, 1, 0.5, 0.5]
    assert found.begins_null == {("trajectory", "gradient.late")}
    assert not found.null
    gradients["gradient__late"] = [np.full(2, 1e-17)] * 4
    assert not scales([recording(**gradients)]).begins_null


def test_data_initial_parameters_and_whole_numbers_are_exact() -> None:
    assert exact(Key("init", 0, "w"), np.ones(1))
    assert exact(Key("data", 0, "x"), np.ones(1))
    assert exact(Key("update", 0, "step"), np.array(1))
    assert not exact(Key("update", 0, "w"), np.ones(1))


@pytest.mark.parametrize(
    ("array", "found"),
    [
        (None, ("missing on the jax side", "missing")),
        (np.array([np.nan, 1]), ("NaN on the jax side", "NaN")),
        (np.array([np.inf]), ("infinity on the jax side", "infinity")),
        (np.ones(1, np.float32), ("float32 on the jax side of a float64 run", "dtype")),
        (np.ones(1), None),
        (np.arange(3), None),
    ],
)
def test_what_cannot_be_compared_has_a_fault(array: Array | None, found: tuple[str, str] | None) -> None:
    assert fault(array, "jax", "float64") == found


FINITE = hnp.arrays(np.float64, hnp.array_shapes(max_dims=2), elements=st.floats(-1e100, 1e100))


@given(FINITE, st.floats(1e-3, 1e3))
def test_a_difference_has_no_direction_and_no_unit(array: Array, scale: float) -> None:
    other = array[::-1]
    assert difference(array, array, scale) == 0
    assert difference(array, other, scale) == difference(other, array, scale) >= 0
    assert difference(4 * array, 4 * other, 4 * scale) == difference(array, other, scale)


@given(st.lists(FINITE, min_size=1, max_size=5))
def test_a_scale_never_falls_and_no_array_is_larger(steps: list[Array]) -> None:
    found = scales([recording(a=steps)])
    told = [found.of[Key("trajectory", step, "a")] for step in range(len(steps))]
    assert told == sorted(told)
    assert told[-1] == max(float(np.abs(array).max()) for array in steps)


def test_an_array_of_nothing_has_the_scale_zero_and_data_and_whole_numbers_have_none() -> None:
    found = scales([recording(a=[np.zeros((0, 3))], step=[np.array(3)])])
    assert found.of == {Key("trajectory", 0, "a"): 0}
    assert scales([]).of == {}


def test_the_other_gradients_of_a_stage_do_not_make_null_what_another_stage_has() -> None:
    """A cotangent of the backward stage and the trajectory's gradients are told apart."""
    one = recording(gradient__w=[np.full(2, 1e-12)])
    one.add("backward", 0, {"w": np.ones(2)})
    assert not scales([one]).null


def test_gradients_that_are_zero_altogether_are_not_null() -> None:
    """Null is what is nothing beside the others; where there are no others, nothing was computed."""
    assert not scales([recording(gradient__a=[np.zeros(2)], gradient__b=[np.zeros(2)])]).null
