"""Which of torch's masks are drawn in loops and inside of `jax.vmap`, told by the shapes of torch's."""

from __future__ import annotations

from typing import Any

import pytest

from parity.jax_side.dropout.matching import Apart, Branches, Called, Dropout, Loop, Path, Told, exclusive, nested, ways

HERE, INSIDE, ELSEWHERE = object(), object(), object()
EXAMPLES, EXPERTS, BLOCKS = 6, 3, 2


def drop(*shape: int, over: tuple[int, ...] = (), trace: object = INSIDE) -> Dropout:
    return Dropout(shape, trace, over)


TWO_OF_EXPERTS: dict[Path, Apart] = {(0,): Apart((2,), 1), (1,): Apart((2,), EXPERTS * 2 - 1)}
ONE_WAY: dict[str, tuple[list[Called], list[tuple[int, ...]], Told]] = {
    "a batch": ([drop(6, 8), drop(8, 6)], [(6, 8), (6, 8)], Told()),
    "examples by vmap": ([drop(8, over=(6,))], [(6, 8)], Told()),
    "examples one by one": ([Loop(6, [drop(8), drop(4)])], [(6, 8), (6, 4)], Told(frozenset({(0,)}))),
    "blocks one by one": ([Loop(2, [drop(6, 8), drop(6, 4)])], [(6, 8), (6, 4)] * 2, Told()),
    "blocks in examples": (
        [drop(9), Loop(6, [Loop(2, [drop(8)])])], [(9,), (6, 8), (6, 8)], Told(frozenset({(1,)})),
    ),
    "examples in blocks": ([Loop(2, [Loop(6, [drop(8)])])], [(6, 8), (6, 8)], Told(frozenset({(0, 0)}))),
    "experts all at once": ([drop(6, 8, over=(3,))], [(3, 6, 8)], Told()),
    "experts": (
        [drop(6, 8, over=(3,)), drop(6, 4, over=(3,))], [(6, 8), (6, 4)] * 3, Told(apart=TWO_OF_EXPERTS),
    ),
    "experts of each example": (
        [drop(8, over=(3, 6)), drop(9)], [(6, 8)] * 3 + [(9,)], Told(apart={(0,): Apart((1, 0), 3)}),
    ),
    "experts of two layers": (
        [drop(6, 8, over=(3,)), drop(6, 8, over=(3,), trace=ELSEWHERE)], [(6, 8)] * 6,
        Told(apart={(0,): Apart((1,), 3), (1,): Apart((1,), 3)}),
    ),
    "the longer branch": ([Branches({-1: [drop(6, 8)], -2: []}), drop(9)], [(6, 8), (9,)], Told()),
    "the shorter branch": ([Branches({-1: [drop(6, 8)], -2: []}), drop(9)], [(9,)], Told()),
}  # fmt: skip


@pytest.mark.parametrize("case", ONE_WAY)
def test_the_shapes_of_torchs_masks_tell_the_way_in_which_they_are_drawn(case: str) -> None:
    called, drawn, told = ONE_WAY[case]
    assert ways(called, drawn) == [told]


NO_WAY: dict[str, tuple[list[Called], list[tuple[int, ...]]]] = {
    "one key for all examples": ([drop(8)], [(6, 8)]),
    "a dropout that is left out": ([Loop(6, [drop(8)])], [(6, 8), (6, 8)]),
    "a dropout too many": ([Loop(6, [drop(8), drop(8)])], [(6, 8)]),
    "too few turns": ([Loop(2, [drop(6, 8)])], [(6, 8)] * 3),
    "too few experts": ([drop(6, 8, over=(2,))], [(6, 8)] * 3),
    "one for all experts": ([drop(6, 8, over=(3,))], [(6, 8)]),
    "other widths": ([Loop(6, [drop(8)])], [(6, 7)]),
}


@pytest.mark.parametrize("case", NO_WAY)
def test_what_torch_does_not_draw_is_drawn_in_no_way(case: str) -> None:
    assert ways(*NO_WAY[case]) == []


def test_as_many_examples_as_blocks_may_be_either() -> None:
    called: list[Called] = [Loop(4, [Loop(4, [drop(8)])])]
    found = ways(called, [(4, 8)] * 4)
    assert found == [Told(frozenset({(0, 0)})), Told(frozenset({(0,)}))]


def test_two_dropouts_of_each_expert_may_be_called_in_either_order() -> None:
    two: list[Called] = [drop(6, 8, over=(3,)), drop(6, 8, over=(3,))]
    one_after_another, all_at_once = ways(two, [(6, 8)] * 6)
    assert one_after_another == Told(apart=TWO_OF_EXPERTS)
    assert all_at_once == Told(apart={(0,): Apart((1,), 3), (1,): Apart((1,), 3)})


def test_many_layers_of_which_the_last_fits_none_are_told_soon() -> None:
    layers: list[Called] = [drop(4, 8, over=(3,), trace=index // 2) for index in range(120)]
    assert ways([*layers, drop(9)], [(4, 8)] * 360) == []
    assert len(ways(layers, [(4, 8)] * 360)) == 2


@pytest.mark.parametrize(
    ("called", "found"),
    [
        ([], False),
        ([drop(8, trace=HERE)], False),
        ([drop(8)], True),
        ([drop(8, over=(6,), trace=HERE)], True),
        ([Loop(6, [drop(8, trace=HERE)])], True),
    ],
)
def test_only_what_is_transformed_need_be_asked_for(called: Any, found: bool) -> None:
    assert nested(called, HERE) is found


def test_two_branches_of_one_choice_exclude_each_other_and_two_choices_do_not() -> None:
    assert exclusive((3, -1, 0), (3, -2, 0))
    assert exclusive((3, -1, 0, -1, 2), (3, -2, 5))
    assert not exclusive((3, -1, 0), (4, -2, 0))
    assert not exclusive((3, -1, 0), (3, -1, 1))
    assert not exclusive((3, -1, 0), (3, -1, 0))
