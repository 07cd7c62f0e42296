"""Which of the kinds that the engine knows a JAX side's model is."""

from __future__ import annotations

import jax
import numpy as np
from flax import linen

from parity.errors import NotCheckable
from parity.jax_side.models.by_hand import ByHand
from parity.jax_side.models.linen import OfLinen
from parity.jax_side.models.made import is_nnx, made_by
from parity.jax_side.models.nnx import OfNnx
from parity.jax_side.models.protocol import Models
from parity.jax_side.models.tree import OfTree
from parity.recording import Device, Dtype
from parity.sides.parts import Parts


def models_of(parts: Parts, dtype: Dtype, device: Device) -> Models:
    """The models of a side.

    Raises:
        NotCheckable: `model` gives none of the kinds that there are, or fails.
    """
    if parts.side.arrays is not None:
        return ByHand(parts, dtype, device)
    if is_nnx(parts):
        return OfNnx(parts, dtype)
    made = made_by(parts)
    if isinstance(made, linen.Module):
        return OfLinen(parts, dtype, made)
    leaves = jax.tree.leaves(made)
    if any(isinstance(leaf, jax.Array | np.ndarray) and leaf is not made for leaf in leaves):
        return OfTree(parts, dtype, made)
    raise NotCheckable(
        f"the jax side's model gave a {type(made).__name__}: expected a Flax NNX module, a Flax Linen module or a "
        "pytree of parameter arrays, or name the part `arrays`, which reads it"
    )
