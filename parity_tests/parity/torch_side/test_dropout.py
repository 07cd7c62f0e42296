"""Dropout whose masks come from outside, and models that draw for themselves."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import pytest
import torch
from torch import Tensor, nn

from parity.arrays.draws import mask, stream
from parity.torch_side.dropout import injected

ONES = torch.ones(6, 8, dtype=torch.float64)


def test_a_dropout_leaves_what_the_mask_of_its_call_says_and_scales_it() -> None:
    dropout = nn.Dropout(0.25)
    with injected(stream(1, 2)) as drawn:
        found = dropout(ONES), dropout(ONES)
    for call, output in enumerate(found):
        kept = torch.from_numpy(mask(stream(1, 2), call, (6, 8), 0.25))
        assert torch.equal(output, kept.double() / 0.75)
    assert not drawn.own


def test_neither_evaluation_nor_a_rate_of_0_takes_a_mask() -> None:
    with injected(stream(1, 2)):
        assert torch.equal(nn.Dropout(0.5).eval()(ONES), ONES)
        assert torch.equal(nn.Dropout(0.0)(ONES), ONES)
        assert torch.equal(nn.Dropout(0.5)(ONES) != 0, torch.from_numpy(mask(stream(1, 2), 0, (6, 8), 0.5)))


def test_a_rate_of_1_leaves_nothing_and_takes_no_mask() -> None:
    with injected(stream(1, 2)):
        assert not nn.Dropout(1.0)(ONES).any()
        assert torch.equal(nn.Dropout(0.5)(ONES) != 0, torch.from_numpy(mask(stream(1, 2), 0, (6, 8), 0.5)))


IN_PLACE: dict[str, Callable[[Tensor], Tensor]] = {
    "layer": nn.Dropout(0.25, inplace=True),
    "function": lambda x: nn.functional.dropout(x, 0.25, True, True),
    "rate of 1": nn.Dropout(1.0, inplace=True),
}


@pytest.mark.parametrize("way", IN_PLACE)
def test_a_dropout_in_place_leaves_nothing_of_what_it_was_given(way: str) -> None:
    weight = ONES.clone().requires_grad_()
    given = 2 * weight
    with injected(stream(1, 2)):
        found = IN_PLACE[way](given)
    assert found is given
    share = torch.zeros_like(ONES)
    if way != "rate of 1":
        share = torch.from_numpy(mask(stream(1, 2), 0, (6, 8), 0.25)).double() / 0.75
    assert torch.equal(given, 2 * share)
    (slope,) = torch.autograd.grad((given + given).sum(), weight)
    assert torch.equal(slope, 4 * share)


@pytest.mark.parametrize("way", IN_PLACE)
def test_what_a_dropout_in_place_may_not_change_it_does_not(way: str) -> None:
    with injected(stream(1, 2)), pytest.raises(RuntimeError, match="a leaf Variable that requires grad"):
        IN_PLACE[way](ONES.clone().requires_grad_())


@pytest.mark.parametrize("dropout", [nn.Dropout(0.5, inplace=True).eval(), nn.Dropout(0.0, inplace=True)])
def test_a_dropout_in_place_that_is_off_changes_nothing(dropout: nn.Dropout) -> None:
    given = ONES.clone()
    with injected(stream(1, 2)) as drawn:
        assert dropout(given) is given
    assert torch.equal(given, ONES)
    assert not drawn.shapes


OTHERS: dict[str, Callable[[Tensor], Tensor]] = {
    **{
        f"{name}, {'in' if inplace else 'out of'} place": partial(
            getattr(nn.functional, name), p=0.5, training=True, inplace=inplace
        )
        for name in ("dropout1d", "dropout2d", "dropout3d", "alpha_dropout", "feature_alpha_dropout")
        for inplace in (False, True)
    },
    "torch.dropout": lambda x: torch.dropout(x, 0.5, True),
    "torch.dropout_": lambda x: torch.dropout_(x, 0.5, True),
}


@pytest.mark.parametrize("way", OTHERS)
def test_every_other_dropout_draws_for_itself_and_is_seen(way: str) -> None:
    given = torch.ones(2, 3, 4, 4, 4) if "3d" in way else torch.ones(2, 3, 4) if "1d" in way else torch.ones(2, 3, 4, 4)
    with torch.random.fork_rng():
        with injected(stream(1, 2)) as drawn:
            OTHERS[way](given)
        assert drawn.own
    assert not drawn.shapes


@pytest.mark.parametrize(
    "draw", [lambda: torch.rand(2), lambda: nn.Dropout2d(0.5)(torch.ones(2, 3, 4, 4))], ids=["a number", "Dropout2d"]
)
def test_what_draws_for_itself_is_seen(draw: Callable[[], Tensor]) -> None:
    with torch.random.fork_rng():
        with injected(stream(1, 2)) as drawn:
            draw()
        assert drawn.own


def test_afterwards_dropout_is_as_before() -> None:
    before = torch.nn.functional.dropout
    with pytest.raises(ZeroDivisionError), injected(stream(0, 0)):
        raise ZeroDivisionError
    assert torch.nn.functional.dropout is before
