"""What a JAX side's `model` gives, and which kind of model that is."""

from __future__ import annotations

import inspect
from functools import partial
from typing import Any

from flax import nnx

from parity.errors import NotCheckable
from parity.parts import Parts


def made_by(parts: Parts) -> Any:
    """The side's model, drawn anyhow."""
    factory = _factory(parts)
    called = factory.func if isinstance(factory, partial) else factory
    # A Flax class is called through its metaclass, which takes anything.
    named = inspect.signature(called.__init__ if inspect.isclass(called) else called).parameters
    return parts.made(rngs=nnx.Rngs(0)) if "rngs" in named else parts.made()


def is_nnx(parts: Parts) -> bool:
    """Whether the side's model is a Flax NNX module, told without drawing its numbers."""
    factory = _factory(parts)
    if inspect.isclass(factory):
        return issubclass(factory, nnx.Module)
    found: list[bool] = []
    try:
        nnx.eval_shape(lambda: found.append(isinstance(made_by(parts), nnx.Module)))
    except NotCheckable:
        # What looks at the numbers that it draws cannot be told without them.
        return isinstance(made_by(parts), nnx.Module)
    return found[0]


def _factory(parts: Parts) -> Any:
    return inspect.unwrap(parts.model)
