"""The leaves of a pytree by their dotted paths, and pytrees filled with other leaves."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from parity.errors import REAL_ONLY, NotCheckable
from parity.recording import Array, Arrays, Dtype


def to_numpy(array: Any) -> Array:
    """A device array as an array of its own memory; bfloat16 in float32."""
    return np.array(array, np.float32 if array.dtype == jnp.bfloat16 else None)


def named_leaves(tree: Any) -> list[tuple[str, Any]]:
    """Every leaf with its path, as `layers.0.kernel`. What Flax NNX wraps an array in has no part in it."""
    found, _ = jax.tree_util.tree_flatten_with_path(tree)
    wrapped = isinstance(tree, nnx.State)
    return [(dotted(part for part in path if not (wrapped and _is_value(part))), leaf) for path, leaf in found]


def leaves_of(tree: Any) -> Arrays:
    """The leaves as arrays of their own memory."""
    return {name: to_numpy(leaf) for name, leaf in named_leaves(tree)}


def filled(tree: Any, arrays: Mapping[str, Array], dtype: Dtype) -> Any:
    """A pytree built like `tree` with other leaves, floating ones in `dtype`.

    A leaf that `arrays` does not have stays as it is.

    Raises:
        NotCheckable: it is a shape only; or one that it has is complex here.
    """
    made = [_leaf(name, leaf, arrays.get(name), dtype) for name, leaf in named_leaves(tree)]
    return jax.tree.unflatten(jax.tree.structure(tree), jax.device_put(made))


def _leaf(name: str, leaf: Any, array: Array | None, dtype: Dtype) -> Array:
    if array is None and isinstance(leaf, jax.ShapeDtypeStruct):
        raise NotCheckable(f"the jax side keeps {name}, which the torch side has not, and nobody says its value")
    if array is not None and jnp.issubdtype(leaf.dtype, jnp.complexfloating):
        raise NotCheckable(f"the jax side's {name} is complex: {REAL_ONLY}")
    return np.array(leaf if array is None else array, jnp.dtype(dtype) if is_floating(leaf) else leaf.dtype)


def is_floating(leaf: Any) -> bool:
    """Whether an array, or the shape of one, is of floating numbers."""
    return bool(jnp.issubdtype(leaf.dtype, jnp.floating))


def dotted(path: Iterable[Any]) -> str:
    """A path into a pytree as a name."""
    return ".".join(str(getattr(part, "key", getattr(part, "name", getattr(part, "idx", part)))) for part in path)


def _is_value(part: Any) -> bool:
    """Whether a step of a path leads into an nnx.Variable, which is no name of the model's."""
    return isinstance(part, jax.tree_util.GetAttrKey) and part.name == "value"
