from __future__ import annotations

from math import prod

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from parity.errors import NotCheckable
from parity.weight_map.steps import TRANSPOSE, Step, back, chain, forth, shape_through

Drawn = tuple[tuple[int, ...], list[Step]]


@st.composite
def chains(draw: st.DrawFn) -> Drawn:
    """A shape and steps that an array of it can take."""
    start = shape = tuple(draw(st.lists(st.integers(1, 4), min_size=0, max_size=4)))
    steps = []
    for move in draw(st.lists(st.sampled_from(["permute", "reshape", "flip"]), max_size=5)):
        axes = draw(st.permutations(range(len(shape))))
        if move == "permute":
            step = Step("permute", tuple(axes))
        elif move == "flip":
            step = Step("flip", tuple(axes[: draw(st.integers(0, len(axes)))]))
        else:
            divisors = [size for size in range(1, prod(shape) + 1) if prod(shape) % size == 0]
            first = draw(st.sampled_from(divisors))
            step = Step("reshape", (first, prod(shape) // first))
        steps.append(step)
        shape = step.shape_after(shape)
    return start, steps


@given(chains(), st.sampled_from(["<f8", "<f4", "<i8", "?"]))
def test_any_steps_come_back_bit_for_bit(drawn: Drawn, dtype: str) -> None:
    shape, steps = drawn
    array = np.random.default_rng(0).integers(0, 2**60, shape).astype(dtype)
    there = forth(steps, array)
    assert there.shape == shape_through(steps, shape)
    again = back(steps, there, shape)
    assert (again.dtype, again.shape, again.tobytes()) == (array.dtype, array.shape, array.tobytes())
    assert sorted(there.ravel().tolist()) == sorted(array.ravel().tolist())


@given(chains())
def test_a_chain_leaves_out_what_changes_nothing_and_does_the_same(drawn: Drawn) -> None:
    shape, steps = drawn
    array = np.arange(prod(shape)).reshape(shape)
    shorter = chain(*steps, start=shape)
    assert len(shorter) <= len(steps)
    np.testing.assert_array_equal(forth(shorter, array), forth(steps, array))


@pytest.mark.parametrize(
    ("shape", "step"),
    [
        ((2, 3), Step("permute", (0, 0))),
        ((2, 3), Step("permute", (0, 1, 2))),
        ((2, 3), Step("permute", (0,))),
        ((2, 3), Step("reshape", (5,))),
        ((2, 3), Step("reshape", (-2, -3))),
        ((2, 3), Step("flip", (2,))),
        ((2, 3), Step("flip", (0, 0))),
        ((2,), TRANSPOSE),
    ],
)
def test_a_step_that_an_array_cannot_take_is_refused(shape: tuple[int, ...], step: Step) -> None:
    with pytest.raises(NotCheckable, match="cannot take the step"):
        step.shape_after(shape)
