"""Products in bfloat16 as PyTorch has them: `torch.autocast` around model and loss. Parameters stay in float32."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch


def lowered(loss: Callable[..., Any]) -> Callable[..., Any]:
    """The loss whose model multiplies in bfloat16: factors and results are rounded to it, sums are not."""

    def rounded(model: Any, batch: dict[str, torch.Tensor]) -> Any:
        place = next(iter(batch.values())).device.type
        # Without its cache: a recorded step would go on with the factors that it was recorded with.
        with torch.autocast(place, torch.bfloat16, cache_enabled=False):
            return loss(model, batch)

    return rounded
