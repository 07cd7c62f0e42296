"""An output in evaluation that rests on what the JAX side alone holds, and trains, is told: no score shows it."""

from __future__ import annotations

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import pytest
from flax import nnx

from parity import Pair, check
from parity_tests.parity import small_jax, small_linen
from parity_tests.parity.judging.test_check_linen import pair as linen_pair
from parity_tests.parity.judging.test_check_modules import pair

pytestmark = pytest.mark.usefixtures("compiled_quickly")
TOLD = "not comparable: it rests on seen, which training changes on one side and the other does not hold"


class Counting(small_jax.Small):
    """Counts its calls in training; `share` is what the count does to an output in evaluation, at first nothing."""

    share = 0.0

    def __init__(self, rngs: nnx.Rngs) -> None:
        super().__init__(rngs)
        self.seen = nnx.BatchStat(jnp.zeros(()))

    def __call__(self, inputs: jax.Array) -> jax.Array:
        found = super().__call__(inputs)
        if not self.dropout.deterministic:
            self.seen[...] += 1
            return found
        return found * (1 + self.share * self.seen[...])


class Drifting(Counting):
    share = 0.1


class InLinen(small_linen.Small):
    """The same of Linen's."""

    share: float = 0.0

    def setup(self) -> None:
        super().setup()
        self.seen = self.variable("counts", "seen", lambda: jnp.zeros(()))

    def __call__(self, inputs: jax.Array, train: bool) -> jax.Array:
        found = super().__call__(inputs, train)
        if train:
            self.seen.value += 0 if self.is_initializing() else 1
            return found
        return found * (1 + self.share * self.seen.value)


def of(kind: str, share: float) -> Pair:
    if kind == "nnx":
        return pair(jax={"model": Drifting if share else Counting})
    return linen_pair(model=partial(InLinen, share=share))


@pytest.mark.parametrize("kind", ["nnx", "linen"])
def test_what_training_leaves_behind_on_one_side_is_told_where_an_output_rests_on_it(kind: str) -> None:
    verdict = check(of(kind, 0.1), dtypes=("float64",))
    assert verdict.outcome == "inconclusive"
    assert [(s.stage, s.reason.startswith(TOLD)) for s in verdict.stages if s.outcome != "agree"] == [("score", True)]


@pytest.mark.parametrize("kind", ["nnx", "linen"])
def test_where_none_does_it_is_listed_alone(kind: str) -> None:
    verdict: Any = check(of(kind, 0.0), dtypes=("float64",))
    assert verdict.outcome == "agree", verdict.first_difference or [stage.reason for stage in verdict.stages]
    assert "held on the jax side only, and changed during the run: seen" in verdict.listed
