"""An activation near zero may have another sign; one that is not near zero may not."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from parity.check import check
from parity.factors import FEW_EPS, FLOAT32_FACTOR
from parity.flips import flips
from parity.live import Gradients, Observation
from parity.recording import Array, Arrays, Batch
from parity.verdict import EPS
from parity_tests.parity.tiny import tiny
from parity_tests.parity.tiny_draws import batches, draw_parameters
from parity_tests.parity.tiny_jax import loss

NEAR = FLOAT32_FACTOR * FEW_EPS * EPS["float32"]


def observation(**forward: Array) -> Observation:
    return Observation(
        {name.replace("__", "."): array for name, array in forward.items()}, Gradients(np.zeros(()), {}), {}
    )


@pytest.mark.parametrize(
    ("found", "inside", "outside"),
    [
        ([2.0, NEAR / 2, 1.0], 0, 0),
        ([2.0, -NEAR / 2, 1.0], 1, 0),
        ([2.0, -3 * NEAR, 1.0], 0, 1),
        ([2.0, -NEAR / 2, -1.0], 1, 1),
    ],
)
def test_a_flip_is_inside_where_both_are_near_zero_in_the_scale_of_the_layer(
    found: list[float], inside: int, outside: int
) -> None:
    judge = observation(fc1__output=np.array([2.0, NEAR, 1.0]))
    assert flips(observation(fc1__output=np.array(found, "float32")), judge) == (inside, outside)


def test_only_what_comes_out_of_layers_flips() -> None:
    judge = observation(fc1__input=np.array([1.0]), output=np.array([1.0]))
    assert flips(observation(fc1__input=np.array([-1.0]), output=np.array([-1.0])), judge) == (0, 0)


# A pair in which rounding the parameters to float32 flips an activation: 0.1 - 0.100000001 + 5e-10 is
# negative, and in float32, where the first two are the same number, it is positive.


def parameters_at_the_edge(seed: int) -> Arrays:
    arrays = draw_parameters(seed)
    arrays["inner.weight"][0, :2] = 0.1, 1
    arrays["inner.bias"][0] = 5e-10
    return arrays


def batches_at_the_edge(seed: int, steps: int) -> list[Batch]:
    found = [dict(batch) for batch in batches(seed, steps)]
    found[0]["inputs"] = found[0]["inputs"].copy()
    found[0]["inputs"][0] = 0
    found[0]["inputs"][0, :2] = 1, -0.100000001
    return found


AT_THE_EDGE: dict[str, Any] = {"parameters": parameters_at_the_edge, "batches": batches_at_the_edge}


def test_a_flip_by_the_rounding_of_the_parameters_is_listed_and_no_difference() -> None:
    verdict = check(tiny(1, AT_THE_EDGE, AT_THE_EDGE))
    assert verdict.outcome == "agree", verdict.first_difference
    assert any("1 activation flipped at zero" in line for line in verdict.listed)


def test_beside_a_flip_a_wrong_gradient_is_still_one() -> None:
    """The state is moved aside until nothing flips, and there the limit is what it always is."""
    off = AT_THE_EDGE | {"loss": lambda model, batch: loss(model, batch) * (1 + 3e-4)}
    verdict = check(tiny(1, AT_THE_EDGE, off))
    assert verdict.outcome == "differ"
