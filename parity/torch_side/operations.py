"""Watching each operation of a pass, whatever the pass is made of: higher-order operators, and compiled code."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext

import torch
from torch.utils._python_dispatch import TorchDispatchMode


class Operations(TorchDispatchMode):
    """A mode that is handed every operation, `torch.cond` and flex attention among them."""

    supports_higher_order_operators = True

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Meanwhile operations are watched, and what is compiled runs as it is written: compiled, it shows nothing."""
        # Where nothing is compiled, this would import the compiler.
        compiled = "torch._dynamo" in sys.modules
        with torch.compiler.set_stance("force_eager") if compiled else nullcontext(), self:
            yield
