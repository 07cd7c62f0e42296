"""What a loop needs to know of a problem, and what its steps are fed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import torch
from jaxtyping import Int
from torch import Tensor

from torchnet.arrays import Arrays, Batch


class Problem(NamedTuple):
    """The functions of a problem, as its file has them. Of `optimizer` and `update`, by hand, it has one."""

    draw_parameters: Callable[[int], Arrays]
    from_arrays: Callable[..., Any]
    to_arrays: Callable[[Any], Arrays]
    loss: Callable[..., Any]
    optimizer: Any = None
    update: Any = None


def take(data: Batch, rows: Int[Tensor, "*batch"] | None) -> Batch:
    """The examples of these rows, or all of the data."""
    return data if rows is None else {name: tensor[rows] for name, tensor in data.items()}


class Feed(NamedTuple):
    """Data on the device, and which rows of it each step takes, (steps, batch); without rows each step takes it all."""

    data: Batch
    rows: Int[Tensor, steps * batch] | None = None

    def batch(self, step: int) -> Batch:
        """The batch of a step."""
        return take(self.data, None if self.rows is None else self.rows[step])


def stack_feeds(feeds: Sequence[Feed]) -> Feed:
    """The feed of several runs together, in each batch their batches one behind the other on a first axis.

    Where there are rows, all feeds have the same data, which stays as it is.
    """
    first = feeds[0]
    if first.rows is None:
        return Feed({name: torch.stack([feed.data[name] for feed in feeds]) for name in first.data})
    return Feed(first.data, torch.stack([feed.rows for feed in feeds if feed.rows is not None], 1))
