"""A pass is traced again once it is known which of torch's masks it is handed, and what fits none is told."""

from __future__ import annotations

from contextlib import ExitStack
from types import SimpleNamespace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from parity.arrays.draws import mask, pass_name, stream
from parity.jax_side.dropout.masks import injected
from parity.jax_side.dropout.torch_masks import Handed, settled

BATCH = {"x": np.ones((6, 4))}
KEYS = jax.random.split(jax.random.key(0), 6)


def handed(*shapes: tuple[int, ...]) -> Handed:
    def torch_dropouts(batch: Any) -> Any:
        return {pass_name("loss", batch): shapes}

    parts: Any = SimpleNamespace(side=SimpleNamespace(predict=None), torch_dropouts=torch_dropouts)
    return Handed(parts)


def passed(of: Handed, function: Any, batch: Any = BATCH) -> Any:
    """What a function gives in a pass, and how often it was traced."""
    traced = 0

    def once() -> Any:
        nonlocal traced
        traced += 1
        with injected(jnp.asarray(stream(1, 2)), of.keys) as masks, of.to(masks, batch, function):
            return function()

    return settled(once)(), traced


def one(key: Any) -> jax.Array:
    return jax.random.bernoulli(key, 0.5, (4,))


def test_examples_one_by_one_are_handed_their_parts_and_the_next_pass_knows() -> None:
    of = handed((6, 4))
    for times in (2, 1):
        found, traced = passed(of, lambda: jax.lax.map(one, KEYS))
        np.testing.assert_array_equal(found, mask(stream(1, 2), 0, (6, 4), 0.5))
        assert (traced, of.doubts) == (times, [])


def test_where_all_is_as_usual_nothing_is_traced_again() -> None:
    of = handed((4,), (4,), (4,), (4,), (4,), (4,))
    found, traced = passed(of, lambda: jax.lax.map(one, KEYS))
    np.testing.assert_array_equal(found, [mask(stream(1, 2), number, (4,), 0.5) for number in range(6)])
    assert (traced, of.doubts) == (1, [])


@pytest.mark.parametrize("shapes", [[(6, 5)], [(6, 4)] * 9, []])
def test_what_fits_none_of_torchs_masks_is_told_once(shapes: list[tuple[int, ...]]) -> None:
    of = handed(*shapes)
    for batch in (BATCH, {"x": np.ones((6, 5))}):
        _, traced = passed(of, lambda: jax.lax.map(one, KEYS), batch)
        assert traced == 1
    (doubt,) = of.doubts
    assert "do not draw masks of the number and shapes of torch's" in doubt
    assert ("(9)" if len(shapes) == 9 else "(6, 5)" if shapes else "which draws none") in doubt


def test_what_fits_in_two_ways_is_told() -> None:
    of = handed(*[(6, 4)] * 6)
    keys = jax.random.split(KEYS[0], (6, 6))
    passed(of, lambda: jax.lax.map(lambda row: jax.lax.map(one, row), keys))
    assert "in more than one way" in of.doubts[0]


def test_outside_of_loops_and_of_training_torch_is_not_asked() -> None:
    of = Handed(SimpleNamespace(side=SimpleNamespace(predict=None)))  # type: ignore[arg-type]
    assert passed(of, lambda: one(KEYS[0]))[1] == 1
    with ExitStack() as stack:
        stack.enter_context(of.to(None, BATCH, one))
