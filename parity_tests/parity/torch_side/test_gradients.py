"""The way back from a loss, and the layout of a gradient."""

from __future__ import annotations

import pytest
import torch

from parity import NotCheckable
from parity.torch_side.gradients import filled, laid_out_as, slopes_by


def test_what_a_loss_does_not_depend_on_has_none_and_is_filled_with_0() -> None:
    a, b = torch.ones(2, requires_grad=True), torch.ones(3, requires_grad=True)
    found = slopes_by((3 * a).sum(), [a, b])
    assert found[1] is None
    assert [slope.tolist() for slope in filled(found, [a, b])] == [[3, 3], [0, 0, 0]]


def test_a_loss_that_goes_back_itself_is_told_in_one_line() -> None:
    a = torch.ones(2, requires_grad=True)
    loss = (a * a).sum()
    loss.backward()  # type: ignore[no-untyped-call]
    with pytest.raises(
        NotCheckable, match="the torch side's loss cannot be differentiated, which the check does by its"
    ):
        slopes_by(loss, [a])


def test_a_sparse_one_holds_the_rows_that_are_not_0() -> None:
    slope = torch.tensor([[0.0, 0.0], [1.0, 2.0]])
    sparse = laid_out_as(slope, sparse=True).coalesce()
    assert (sparse.indices().tolist(), sparse.values().tolist()) == ([[1]], [[1, 2]])
    assert laid_out_as(slope, sparse=False) is slope
