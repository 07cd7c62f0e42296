"""Every operation of a pass is handed over, also where a model is compiled or has operators of a higher order."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pytest
import torch
from torch import Tensor

from parity.torch_side.operations import Operations


class Names(Operations):  # type: ignore[no-untyped-call]
    """Keeps what it is handed."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def __torch_dispatch__(
        self, func: Any, types: Sequence[type], args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        self.found.append(str(func))
        return func(*args, **(kwargs or {}))


def clamped(x: Tensor) -> Tensor:
    found: Tensor = torch.cond(x.sum() > 0, lambda x: x.clamp(0.0), lambda x: -x, (x,))
    return found


def watched(function: Any) -> list[str]:
    names, x = Names(), torch.ones(3)
    with names.watching():
        function(x)
    return names.found


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_operators_of_a_higher_order_are_handed_over() -> None:
    assert "cond" in watched(clamped)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_what_is_compiled_shows_its_operations_and_is_compiled_afterwards() -> None:
    programs = []

    def backend(program: Any, _: Any) -> Any:
        programs.append(program)
        return program.forward

    compiled = torch.compile(lambda x: torch.relu(x) + 1, backend=backend, fullgraph=True)
    assert watched(compiled) == ["aten.relu.default", "aten.add.Tensor"]
    assert not programs
    compiled(torch.ones(3))
    assert len(programs) == 1
    assert watched(compiled) == ["aten.relu.default", "aten.add.Tensor"]
