"""How the side's own code is called."""

from __future__ import annotations

from contextlib import nullcontext
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import pytest

from parity.errors import NotCheckable
from parity.jax_side.layers import Layers
from parity.jax_side.passing import Pass, asked, no_turns
from parity.sides.blame import watched


def told(model: Any, batch: Any, train: bool) -> tuple[Any, ...]:
    return model, batch, train


def by_default(model: Any, batch: Any, *, train: bool = True) -> tuple[Any, ...]:
    return model, batch, train


def not_told(model: Any, batch: Any) -> tuple[Any, ...]:
    return model, batch, None


@pytest.mark.parametrize("training", [True, False])
def test_a_part_is_told_the_mode_where_it_asks(training: bool) -> None:
    for part in (told, by_default, partial(told), watched("jax", "loss", told)):
        assert asked(part, 1, {}, training=training) == (1, {}, training)
    assert asked(not_told, 1, {}, training=training) == (1, {}, None)


def test_a_compiled_part_is_told_it_too() -> None:
    part = jax.jit(lambda model, batch, train: model if train else batch["x"], static_argnames="train")
    assert [asked(part, 1, {"x": 2}, training=training).item() for training in (True, False)] == [1, 2]


def lost(found: Any) -> Any:
    return Pass(1, {}, Layers(None, None), True, no_turns, nullcontext).loss_of(lambda model, batch: found)


def test_a_loss_is_a_single_number() -> None:
    for number in (2.0, jnp.asarray(2.0)):
        assert lost(number) is number


@pytest.mark.parametrize(
    ("found", "what"),
    [
        ((jnp.asarray(2.0), "beside"), "a tuple"),
        ({"loss": jnp.asarray(2.0)}, "a dict"),
        (jnp.ones(3), r"an array of shape \(3,\)"),
        (None, "a NoneType"),
    ],
)
def test_anything_else_is_refused(found: Any, what: str) -> None:
    with pytest.raises(NotCheckable, match=f"the jax side's loss gave {what}: expected a single number"):
        lost(found)
