"""What a JAX side's `model` gives, and which kind of model that is."""

from __future__ import annotations

import inspect
from typing import Any

from flax import nnx

from parity.errors import NotCheckable
from parity.sides.parts import Parts


def made_by(parts: Parts) -> Any:
    """The side's model, drawn anyhow."""
    return parts.made(rngs=nnx.Rngs(0)) if "rngs" in parts.model_takes.parameters else parts.made()


def is_nnx(parts: Parts) -> bool:
    """Whether the side's model is a Flax NNX module, told without drawing its numbers."""
    factory = inspect.unwrap(parts.model)
    if inspect.isclass(factory):
        return issubclass(factory, nnx.Module)
    found: list[bool] = []
    try:
        nnx.eval_shape(lambda: found.append(isinstance(made_by(parts), nnx.Module)))
    except NotCheckable:
        # What looks at the numbers that it draws cannot be told without them.
        return isinstance(made_by(parts), nnx.Module)
    return found[0]
