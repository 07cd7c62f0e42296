"""Products in bfloat16 as Flax has them: what `dtype=jnp.bfloat16` does in a layer. Parameters stay in float32."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp


def lowered(loss: Callable[..., Any]) -> Callable[..., Any]:
    """The loss whose model computes in bfloat16: what its layers take and give is rounded; the loss is float32's."""

    def rounded(model: Any, batch: dict[str, jax.Array]) -> Any:
        held = jax.tree.map(lambda leaf: leaf.astype(jnp.bfloat16), model)

        def model_of(x: jax.Array) -> jax.Array:
            # What is bfloat16 anyway needs no setting, and with one of float32's XLA leaves out its fastest products.
            with jax.default_matmul_precision("default"):
                outputs: jax.Array = held(x.astype(jnp.bfloat16)).astype(jnp.float32)
                return outputs

        return loss(model_of, batch)

    return rounded
