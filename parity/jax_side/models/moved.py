"""Parameters that a loss has changed itself: NNX keeps that where a model is trained, and no gradient tells of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp

from parity.errors import NotCheckable, listing
from parity.jax_side.leaves import named_leaves


def moved(before: Any, after: Any) -> dict[str, jax.Array]:
    """Of each parameter that was set anew, as by a scan or `stop_gradient`, whether it is another one now."""
    was = dict(named_leaves(before))
    anew = {name: leaf for name, leaf in named_leaves(after) if name in was and leaf is not was[name]}
    return {name: _differs(was[name], leaf) for name, leaf in anew.items()}


def _differs(before: jax.Array, after: jax.Array) -> jax.Array:
    if before.shape != after.shape:
        return jnp.array(True)
    return jnp.logical_not(jnp.array_equal(before, after, equal_nan=True))


def refuse(found: Mapping[str, Any]) -> None:
    """Nothing, where no parameter is another one.

    Raises:
        NotCheckable: one is.
    """
    if names := sorted(name for name, is_another in found.items() if is_another):
        raise NotCheckable(
            f"the jax side's loss changes {listing(names)} itself, and a check has parameters moved by the optimizer "
            "alone: hold it in a variable that is no nnx.Param, or change it at the end of the optimizer's chain"
        )
