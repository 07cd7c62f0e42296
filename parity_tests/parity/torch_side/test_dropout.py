"""Dropout whose masks come from outside, and models that draw for themselves."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from parity.draws import mask, stream
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
