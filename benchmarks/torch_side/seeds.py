"""One seed or several together: what they begin with, what they are fed, and the outcome of each."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor

from benchmarks.prepared import Outcome
from benchmarks.torch_side.problems import Setup
from torchnet import functional
from torchnet.problem import Feed, stack_feeds


def begin_all(begun: Iterable[tuple[Any, Any]]) -> tuple[Any, Any]:
    """Parameters and memory of all seeds, stacked where there are several."""
    runs = list(begun)
    return functional.stack(runs) if len(runs) > 1 else runs[0]


def feed_all(setup: Setup) -> Feed:
    """What the seeds are fed, stacked where there are several."""
    return stack_feeds(setup.feeds) if len(setup.feeds) > 1 else setup.feeds[0]


def end_all(
    setup: Setup, outcome: Callable[[Any, Any, Tensor], Outcome], parameters: Any, memory: Any, losses: Any
) -> list[Outcome]:
    """The outcome of every seed. `losses` has an entry for each step, (seeds,) where there are several."""
    table = torch.stack(list(losses))
    if len(setup.states) == 1:
        return [outcome(parameters, memory, table)]
    picked = [functional.pick(seed, parameters, memory) for seed in range(len(setup.states))]
    return [outcome(*after, table[:, seed]) for seed, after in enumerate(picked)]
