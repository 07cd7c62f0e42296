"""Products in bfloat16 as PyTorch has them: `torch.autocast` around model and loss. Parameters stay in float32."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch


def lowered(loss: Callable[..., Any]) -> Callable[..., Any]:
    """The loss whose model computes in bfloat16: what its layers take and give is rounded; the loss is float32's."""

    def rounded(model: Any, batch: dict[str, torch.Tensor]) -> Any:
        place = next(iter(batch.values())).device.type
        # Without its cache of rounded parameters: a recorded step has to round them each time that it is replayed.
        with torch.autocast(place, torch.bfloat16, cache_enabled=False):
            return loss(model, batch)

    return rounded
