"""A parameter that the loss itself changes is told; one that is only set anew is not."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from parity import NotCheckable, check
from parity.jax_side.models.moved import moved, refuse
from parity_tests.parity import small_jax
from parity_tests.parity.judging.test_check_modules import pair

pytestmark = pytest.mark.usefixtures("compiled_quickly")


class Drifting(small_jax.Small):
    """Half of a matrix is left once it was used: where it is trained with NNX, it is halved in every step."""

    share = 0.5

    def __call__(self, inputs: jax.Array) -> jax.Array:
        found = super().__call__(inputs)
        self.inner.kernel[...] = self.share * self.inner.kernel[...]
        return found


class SetAnew(Drifting):
    share = 1.0


def test_what_nothing_but_the_next_step_would_show_is_refused() -> None:
    with pytest.raises(NotCheckable, match=r"the jax side's loss changes inner\.kernel itself, and a check has param"):
        check(pair(jax={"model": Drifting}), dtypes=("float64",))


def test_what_is_set_anew_and_stays_the_same_is_no_change() -> None:
    assert check(pair(jax={"model": SetAnew}), dtypes=("float64",)).outcome == "agree"


def test_nnx_keeps_what_is_refused() -> None:
    model = Drifting(nnx.Rngs(0))
    before = np.asarray(model.inner.kernel[...])
    batch = {"inputs": jnp.ones((4, small_jax.FEATURES)), "labels": jnp.zeros(4, int)}
    nnx.value_and_grad(small_jax.loss)(model, batch)
    np.testing.assert_array_equal(model.inner.kernel[...], before / 2)


def test_of_what_was_not_set_anew_nothing_is_computed() -> None:
    same, other, nan = jnp.ones(2), jnp.zeros(2), jnp.array([1.0, jnp.nan])
    before: dict[str, Any] = {"a": same, "b": same, "c": nan, "d": same}
    after = {"a": same, "b": other, "c": jnp.array([1.0, jnp.nan]), "d": jnp.ones(3)}
    assert {name: bool(found) for name, found in moved(before, after).items()} == {"b": True, "c": False, "d": True}
    refuse({"c": False})
    refuse({})
