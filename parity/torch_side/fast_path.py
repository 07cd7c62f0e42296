"""The fast path that `nn.TransformerEncoder` takes in evaluation: it shows no layer, and makes padded places 0."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor, nn

NEAR = 1e-6
"""Outputs of the two paths that are as near as this, as a share of their size, are the same but for rounding."""
TOLD = (
    "in evaluation torch's fast path of nn.TransformerEncoder gives other numbers than its layers do: 0 where its "
    "padding mask is; scores are of that path, layers are compared without; enable_nested_tensor=False turns it off"
)


@contextmanager
def slow_path() -> Iterator[None]:
    """While it lasts, every layer is called, in evaluation too."""
    before = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        yield
    finally:
        torch.backends.mha.set_fastpath_enabled(before)


def has_fast_path(model: object) -> bool:
    """Whether a model holds an encoder that may leave its layers out."""
    return isinstance(model, nn.Module) and any(isinstance(module, nn.TransformerEncoder) for module in model.modules())


def other_numbers(fast: Mapping[str, Tensor], slow: Mapping[str, Tensor]) -> bool:
    """Whether outputs of the two paths differ by more than rounding."""
    return any(
        one.shape != (other := slow[name]).shape
        or (one.is_floating_point() and bool((one - other).abs().max() > NEAR * other.abs().max()))
        for name, one in fast.items()
        if one.numel()
    )
