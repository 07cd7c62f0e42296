"""The state of an Optax optimizer as canonical arrays, and back."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from parity.errors import NotCheckable
from parity.recording import Array, Arrays

TORCH_NAMES = {"count": "step", "mu": "exp_avg", "nu": "exp_avg_sq", "trace": "momentum_buffer"}
"""Fields of Optax states by the name that `torch.optim` gives the same quantity."""


def has_structure(node: Any, model: Any) -> bool:
    """Whether a part of an optimizer's state is built like the parameters, as moments are."""
    return bool(jax.tree.structure(node) == jax.tree.structure(model))  # type: ignore[operator]


def _is_state(node: object) -> bool:
    return isinstance(node, tuple)


def _fields(state: Any) -> list[tuple[str, Any]]:
    names = getattr(state, "_fields", None) or [""] * len(state)
    return list(zip(names, state, strict=True))


def state_out(state: Any, model: Any, arrays_of: Callable[[Any], Arrays]) -> Arrays:
    """Every field with the model's structure as `<entry>.<parameter>`, and every single number by its name."""
    found: Arrays = {}

    def walk(node: Any) -> None:
        for field, value in _fields(node):
            name = TORCH_NAMES.get(field, field)
            if has_structure(value, model):
                found.update({f"{name}.{parameter}": array for parameter, array in arrays_of(value).items()})
            elif _is_state(value):
                walk(value)
            elif isinstance(value, jax.Array) and value.ndim == 0:
                number = np.asarray(value)
                found[name] = number.astype(np.int64) if number.dtype.kind == "i" else number

    if _is_state(state):
        walk(state)
    return found


def state_in(state: Any, model: Any, arrays: Arrays, model_of: Callable[[Arrays], Any]) -> Any:
    """A fresh optimizer state filled with canonical arrays; none at all leaves it fresh.

    Raises:
        NotCheckable: an array that the state needs is not there.
    """

    def number(name: str, like: jax.Array) -> jax.Array:
        return jnp.asarray(_entry(arrays, name), like.dtype)

    def filled(node: Any) -> Any:
        values = []
        for field, value in _fields(node):
            name = TORCH_NAMES.get(field, field)
            if has_structure(value, model):
                prefix = f"{name}."
                value = model_of({key.removeprefix(prefix): a for key, a in arrays.items() if key.startswith(prefix)})
            elif _is_state(value):
                value = filled(value)
            elif isinstance(value, jax.Array) and value.ndim == 0:
                value = number(name, value)
            values.append(value)
        return type(node)(*values) if hasattr(node, "_fields") else tuple(values)

    return filled(state) if arrays and _is_state(state) else state


def _entry(arrays: Arrays, name: str) -> Array:
    if name not in arrays:
        raise NotCheckable(
            f"the jax side's optimizer keeps {name!r}, which the recorded state has not: {sorted(arrays)}"
        )
    return arrays[name]
