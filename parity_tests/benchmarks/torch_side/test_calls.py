"""Steps called from Python: what a program with a CUDA graph of its own writes over is copied, what stays is not."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from benchmarks.torch_side.calls import called
from torchnet.problem import Feed
from torchnet.settings import Settings


@pytest.mark.parametrize("copies", [True, False])
def test_what_a_program_writes_over_is_copied_and_what_stays_where_it_is_is_marked(copies: bool) -> None:
    result = {"w": torch.zeros(1)}

    def advance(parameters: Any, memory: Any, data: Any, rows: Any, learning_rate: Any) -> Any:
        # As such a program does, it gives back the same tensor every time.
        result["w"].copy_(parameters["w"] + 1)
        return result, memory, result["w"]

    feed, begun = Feed({"images": torch.ones(4, 2)}), ({"w": torch.zeros(1)}, None)
    start, run = called(Settings(3, 0.1, "cpu", "float32", "float32"), feed, advance, begun, copies=copies)
    parameters, _, losses = run(start())
    assert parameters["w"].item() == 3
    assert [loss.item() for loss in losses] == ([1, 2, 3] if copies else [3, 3, 3])
    assert begun[0]["w"].item() == 0
    assert hasattr(feed.data["images"], "_dynamo_static_input_type") == copies
