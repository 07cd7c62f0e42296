"""Which kind a side's model is taken for."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen, nnx

from parity import Pair, random_batches
from parity.errors import NotCheckable
from parity.jax_side.models.by_hand import ByHand
from parity.jax_side.models.kinds import models_of
from parity.jax_side.models.linen import OfLinen
from parity.jax_side.models.nnx import OfNnx
from parity.jax_side.models.tree import OfTree
from parity.sides.parts import Parts


class OfFlax(nnx.Module):
    def __init__(self, rngs: nnx.Rngs) -> None:
        self.fc = nnx.Linear(2, 3, rngs=rngs)


def by_a_function(rngs: nnx.Rngs) -> OfFlax:
    return OfFlax(rngs)


def reads_its_numbers() -> dict[str, Any]:
    drawn = jax.random.normal(jax.random.key(0), (2, 3))
    return {"w": drawn / float(drawn.max())}


def parts(model: Any, **others: Any) -> Parts:
    named = {"loss": print, "predict": print, "optimizer": print} | others
    batches = random_batches(x=(2,), steps=1)
    return Parts(Pair(torch=named | {"model": print}, jax=named | {"model": model}, batches=batches).jax, "jax")


KINDS: dict[str, tuple[Any, type]] = {
    "a class of NNX": (OfFlax, OfNnx),
    "a function that makes one": (by_a_function, OfNnx),
    "a module of Linen": (lambda: linen.Dense(3), OfLinen),
    "a class of Linen": (linen.LayerNorm, OfLinen),
    "a dict": (lambda: {"w": jnp.ones(3), "name": "x"}, OfTree),
    "a nested list": (lambda: [({"w": jnp.ones(3)},)], OfTree),
    "a tree that looks at its numbers": (reads_its_numbers, OfTree),
}


@pytest.mark.parametrize("kind", KINDS)
def test_it_is_told_by_what_the_part_gives(kind: str) -> None:
    model, expected = KINDS[kind]
    assert type(models_of(parts(model), "float32", "cpu")) is expected


def test_a_side_that_reads_its_model_itself_is_not_asked_for_one() -> None:
    of_side = parts(lambda *_: pytest.fail("asked"), arrays=print, parameters=print)
    assert type(models_of(of_side, "float32", "cpu")) is ByHand


def test_a_module_of_nnx_is_told_without_drawing_its_numbers() -> None:
    def never(_: Any, shape: Any, dtype: Any = None) -> jax.Array:
        jax.debug.callback(lambda: pytest.fail("drawn"))
        return jnp.ones(shape)

    def made(rngs: nnx.Rngs) -> nnx.Linear:
        return nnx.Linear(2, 3, kernel_init=never, rngs=rngs)

    assert type(models_of(parts(made), "float32", "cpu")) is OfNnx


@pytest.mark.parametrize("made", [3, {"name": "x"}, None, np.ones(3)])
def test_anything_else_is_named_with_what_there_is(made: Any) -> None:
    words = r"the jax side's model gave a \w+: expected a Flax NNX module, a Flax Linen module or a pytree"
    with pytest.raises(NotCheckable, match=words):
        models_of(parts(lambda: made), "float32", "cpu")


def test_a_part_that_fails_is_named() -> None:
    def fails() -> None:
        raise RuntimeError("no weights")

    with pytest.raises(NotCheckable, match="the jax side's model failed: RuntimeError: no weights"):
        models_of(parts(fails), "float32", "cpu")
