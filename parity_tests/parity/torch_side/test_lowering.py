"""Numbers in fewer bits are seen before the place that comes next."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from parity.torch_side.layers import watch
from parity.torch_side.lowering import Lowering


class Net(nn.Module):
    """Two layers, with something done to what goes into them and to what comes out."""

    def __init__(self, change: Callable[[str, Tensor], Tensor]) -> None:
        super().__init__()
        self.inner, self.outer = nn.Linear(3, 3, dtype=torch.float64), nn.Linear(3, 3, dtype=torch.float64)
        self.change = change

    def forward(self, x: Tensor) -> Tensor:
        x = self.inner(self.change("first", x))
        x = self.outer(self.change("between", x))
        return self.change("behind", x)


def seen(*where: str, change: Callable[[Tensor], Tensor] = lambda x: x.float().double()) -> list[str]:
    model = Net(lambda here, x: change(x) if here in where else x)
    with torch.no_grad(), watch(model, None) as layers:
        lowering = Lowering(layers)
        with lowering:
            output = model(torch.ones(2, 3, dtype=torch.float64))
            change(output.sum()) if "loss" in where else output.sum()
    return lowering.places


CHANGES: dict[str, Callable[[Tensor], Tensor]] = {
    "cast": lambda x: x.float().double(),
    "bfloat16": lambda x: x.bfloat16().double(),
    "table": lambda x: x * torch.arange(3, dtype=torch.float32).cos(),
    "several results": lambda x: x + torch.max(torch.ones(3, 3), 0)[0],
}


@pytest.mark.parametrize("kind", CHANGES)
def test_each_operation_counts_for_what_is_recorded_next(kind: str) -> None:
    change = CHANGES[kind]
    assert seen("first", change=change) == ["inner.input"]
    assert seen("between", "behind", change=change) == ["outer.input", "output"]
    assert seen("loss", "first", change=change) == ["inner.input", "loss"]


def test_inside_a_layer_it_counts_for_what_comes_out_of_it() -> None:
    class Casting(nn.Linear):
        def forward(self, input: Tensor) -> Tensor:
            return super().forward(input.float().double())

    model = Net(lambda _, x: x)
    model.inner = Casting(3, 3, dtype=torch.float64)
    with torch.no_grad(), watch(model, None) as layers:
        lowering = Lowering(layers)
        with lowering:
            model(torch.ones(2, 3, dtype=torch.float64))
    assert lowering.places == ["inner.output"]


def test_float64_and_whole_numbers_are_none() -> None:
    assert seen() == []
    assert seen("first", "between", "loss", change=lambda x: x * torch.arange(1) + (x > 0)) == []
