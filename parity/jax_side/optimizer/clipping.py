"""Gradients clipped as `torch.nn.utils.clip_grad_norm_` and `clip_grad_value_` do it."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp

from parity.pair.optimizers import ADDED, Clip


def clipped(clip: Clip | None, gradients: Any) -> Any:
    """The gradients after clipping."""
    if clip is None:
        return gradients
    if clip.by == "value":
        return jax.tree.map(lambda g: jnp.clip(g, -clip.bound, clip.bound), gradients)
    # Also below the bound: a share of 1 changes nothing, and what is not a number stays so, as in torch.
    share = jnp.minimum(clip.bound / (_norm(gradients, clip.order) + ADDED), 1.0)
    return jax.tree.map(lambda g: g * share.astype(g.dtype), gradients)


def _norm(gradients: Any, order: float) -> jax.Array:
    """The norm of all numbers together: of the norms of the tensors, as torch takes it."""
    norms = [jnp.linalg.norm(leaf.reshape(-1), order) for leaf in jax.tree.leaves(gradients)]
    total: jax.Array = jnp.linalg.norm(jnp.stack(norms), order)
    return total
