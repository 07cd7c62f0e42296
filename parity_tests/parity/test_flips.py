"""An activation near zero may have another sign; one that is not near zero may not."""

from __future__ import annotations

import numpy as np
import pytest

from parity.factors import FEW_EPS, FLOAT32_FACTOR
from parity.flips import flips
from parity.live import Gradients, Observation
from parity.recording import Array
from parity.verdict import EPS

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
