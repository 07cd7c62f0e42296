"""The way back from a loss."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from parity.errors import NotCheckable


def slopes_by(loss: Tensor, wanted: Sequence[Tensor]) -> Sequence[Tensor | None]:
    """The gradients of a loss; None by what it does not depend on.

    Raises:
        NotCheckable: there is no way back, as where the loss has gone it itself.
    """
    try:
        return torch.autograd.grad(loss, wanted, allow_unused=True)
    except RuntimeError as error:
        told = str(error).partition("\n")[0]
        raise NotCheckable(
            f"the torch side's loss cannot be differentiated, which the check does by itself: {told}"
        ) from error


def filled(slopes: Sequence[Tensor | None], wanted: Sequence[Tensor]) -> list[Tensor]:
    """The gradients, 0 where there is none."""
    return [torch.zeros_like(tensor) if slope is None else slope for slope, tensor in zip(slopes, wanted, strict=True)]


def laid_out_as(slope: Tensor, sparse: bool) -> Tensor:
    """A gradient as torch's embedding gives it where it is `sparse`: the rows alone that are not 0."""
    return slope.to_sparse(1) if sparse else slope
