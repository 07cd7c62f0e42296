"""What an optimizer remembers in another shape than its parameter's goes out and comes back as it stands."""

from __future__ import annotations

from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import torch

from parity import check
from parity.jax_side.optimizer.own_shapes import fitted, kept_apart, put_back
from parity.verdict import Verdict
from parity_tests.parity.judging.test_check_modules import first_of, pair
from parity_tests.parity.tiny_draws import draw_parameters
from parity_tests.parity.tiny_jax import Tiny, from_arrays, to_arrays

pytestmark = pytest.mark.usefixtures("compiled_quickly")


def remembered() -> tuple[Tiny, Any]:
    """The sum of the rows of each matrix, and each bias as it is, beside the model."""
    model = from_arrays(draw_parameters(1), "float32", "cpu")
    return model, jax.tree.map(lambda leaf: leaf.sum(0) if leaf.ndim > 1 else leaf, model)


def test_arrays_of_a_shape_of_their_own_are_called_after_the_parameter_and_come_back() -> None:
    model, node = remembered()
    apart = kept_apart(node, model, to_arrays)
    assert apart.keys() == {name for name in to_arrays(model) if name.endswith("weight")}
    whole = fitted(node, model)
    assert [leaf.shape for leaf in jax.tree.leaves(whole)] == [leaf.shape for leaf in jax.tree.leaves(model)]
    empty = jax.tree.map(jnp.zeros_like, node)
    again = put_back(whole, empty, model, apart, to_arrays)
    assert all(map(np.array_equal, jax.tree.leaves(again), jax.tree.leaves(node)))


def test_what_is_given_in_another_shape_is_not_taken() -> None:
    model, node = remembered()
    again = put_back(fitted(node, model), node, model, to_arrays(model), to_arrays)
    assert all(map(np.array_equal, jax.tree.leaves(again), jax.tree.leaves(node)))


class ByRows(torch.optim.Optimizer):
    """Divides by the root of a running average for each row, as Adafactor does; for a bias, of each entry."""

    def __init__(self, parameters: Any) -> None:
        super().__init__(parameters, {"lr": 0.1})

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:  # type: ignore[override]
        for parameter in self.param_groups[0]["params"]:
            state, square = self.state[parameter], parameter.grad**2 + 1e-3
            entry, square = ("row", square.mean(-1)) if square.ndim > 1 else ("exp_avg_sq", square)
            state[entry] = 0.9 * state.get(entry, torch.zeros_like(square)) + 0.1 * square
            mean = state[entry].sqrt()
            parameter -= 0.1 * parameter.grad / (mean[:, None] if parameter.ndim > 1 else mean)


class Rows(NamedTuple):
    """The same by other names where it is of a row."""

    factor: Any
    exp_avg_sq: Any


def by_rows(decay: float) -> optax.GradientTransformation:
    def init(parameters: Any) -> Rows:
        rows = jax.tree.map(
            lambda p: jnp.zeros(p.shape[1:], p.dtype) if p.ndim > 1 else jnp.zeros(1, p.dtype), parameters
        )
        return Rows(rows, jax.tree.map(lambda p: jnp.zeros(1 if p.ndim > 1 else p.shape, p.dtype), parameters))

    def update(gradients: Any, state: Rows, _: Any = None) -> tuple[Any, Rows]:
        def mean(gradient: Any, old: Any, *, of_rows: bool) -> Any:
            square = gradient**2 + 1e-3
            if of_rows != (gradient.ndim > 1):
                return old
            return decay * old + (1 - decay) * (square.mean(0) if of_rows else square)

        rows = jax.tree.map(partial(mean, of_rows=True), gradients, state.factor)
        each = jax.tree.map(partial(mean, of_rows=False), gradients, state.exp_avg_sq)
        moved = jax.tree.map(lambda g, r, e: -0.1 * g / jnp.sqrt(r if g.ndim > 1 else e), gradients, rows, each)
        return moved, Rows(rows, each)

    return optax.GradientTransformation(init, update)


def verdict(decay: float, **others: Any) -> Verdict:
    return check(pair(torch={"optimizer": ByRows}, jax={"optimizer": lambda: by_rows(decay)}, steps=3), **others)


def test_they_are_listed_and_the_steps_that_rest_on_them_compared() -> None:
    found = verdict(0.9)
    assert found.outcome == "agree", found.first_difference or [stage.reason for stage in found.stages]
    told = "remembered on the {} side only, in other shapes than the parameters', and not compared: {}"
    assert {told.format("torch", "row"), told.format("jax", "exp_avg_sq, factor")} < set(found.listed)
    assert {"exp_avg_sq.inner.bias"} < {c.key.tensor for c in found.comparisons}


def test_a_mistake_in_them_is_found_where_it_moves_a_parameter() -> None:
    assert first_of(verdict(0.8, dtypes=("float64",))).stage == "update"
