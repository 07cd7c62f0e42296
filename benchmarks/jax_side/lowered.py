"""Products in bfloat16 as Flax has them: what `dtype=jnp.bfloat16` does in a layer. Parameters stay in float32."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp


def lowered(loss: Callable[..., Any]) -> Callable[..., Any]:
    """The loss whose model multiplies in bfloat16: factors and results are rounded to it, sums are not."""

    def rounded(model: Any, batch: dict[str, jax.Array]) -> Any:
        held = jax.tree.map(lambda leaf: leaf.astype(jnp.bfloat16), model)
        return loss(lambda x: held(x.astype(jnp.bfloat16)).astype(jnp.float32), batch)

    return rounded
