"""Steps that are functions, each called from Python."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.utils._pytree import tree_map_only

from benchmarks.torch_side.graphs import StartAndRun
from torchnet.problem import Feed
from torchnet.settings import Settings, device_of


def called(
    how: Settings, feed: Feed, advance: Callable[..., Any], begun: tuple[Any, Any], copies: bool = False
) -> StartAndRun:
    """What places the start state, which the steps only read, and what takes all steps.

    `copies`: each step's results are copied, since the next call of a program with a CUDA graph of its own writes over
    them. Such a program also copies what it is given, but for what it is told stays where it is: here, all of MNIST.
    The rest is as in `graph_of_a_step`.
    """
    learning_rate = torch.tensor(how.learning_rate, dtype=torch.float64, device=device_of(how.device))
    if copies:
        for tensor in (*feed.data.values(), learning_rate):
            torch._dynamo.mark_static_address(tensor)

    def run(placed: Any) -> Any:
        parameters, memory = placed
        losses = []
        for step in how.indices:
            rows = None if feed.rows is None else feed.rows[step]
            parameters, memory, loss = advance(parameters, memory, feed.data, rows, learning_rate)
            if copies:
                parameters, memory, loss = tree_map_only(Tensor, torch.clone, (parameters, memory, loss))
            losses.append(loss)
        return parameters, memory, losses

    return lambda: begun, run
