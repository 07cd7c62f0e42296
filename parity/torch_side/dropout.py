"""Dropout by masks drawn in NumPy, and whether a model drew anything of its own."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

import torch
from torch import Tensor

from parity.arrays.draws import mask
from parity.recording import Array


class Drawn:
    """What was drawn while it was watched.

    Attributes:
        own: whether torch's own generators gave a number.
        shapes: those of the masks, one after another.
    """

    def __init__(self) -> None:
        self.own = False
        self.shapes: list[tuple[int, ...]] = []


@contextmanager
def injected(stream: Array | None) -> Iterator[Drawn]:
    """Every dropout takes its mask from `stream` (None: as it is), in the order of the calls.

    What else draws from a generator of torch's is told by `Drawn.own` at the end.
    """
    drawn = Drawn()

    def dropout(x: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False) -> Tensor:
        if not training or p == 0:
            return x
        # Nothing is drawn on the JAX side.
        found = torch.zeros_like(x) if p == 1 else masked(x, p)
        return x.copy_(found) if inplace else found

    def masked(x: Tensor, p: float) -> Tensor:
        kept = torch.from_numpy(mask(stream, len(drawn.shapes), tuple(x.shape), p)).to(x.device)
        drawn.shapes.append(tuple(x.shape))
        return torch.where(kept, x / (1 - p), torch.zeros_like(x))

    before = _generators()
    with patch.object(torch.nn.functional, "dropout", dropout if stream is not None else torch.nn.functional.dropout):
        yield drawn
    drawn.own = any(not torch.equal(old, new) for old, new in zip(before, _generators(), strict=True))


def _generators() -> list[Any]:
    states = [torch.get_rng_state()]
    if torch.cuda.is_available() and torch.cuda.is_initialized():  # type: ignore[no-untyped-call]
        states += torch.cuda.get_rng_state_all()
    return states
