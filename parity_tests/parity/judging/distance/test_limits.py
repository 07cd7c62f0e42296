"""A limit follows what the other side shows, and stays below the cap wherever the cap means anything."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from parity.judging.distance.factors import (
    CAP,
    FEW_EPS,
    FLOAT32_FACTOR,
    FLOAT64_CEILING,
    FLOAT64_FACTOR,
    FLOAT64_FLOOR,
    LOW_CAP,
)
from parity.judging.distance.limits import capped, float32_limit, float64_limit, narrowest
from parity.recording import STAGES, Dtype, Key
from parity.verdict import EPS

SHOWN = st.floats(0, 1)
FEW = FEW_EPS * EPS["float32"]


@given(SHOWN, SHOWN)
def test_a_float64_limit_stays_between_its_floor_and_its_ceiling(torch: float, jax: float) -> None:
    assert FLOAT64_FLOOR <= float64_limit(torch, jax) <= FLOAT64_CEILING


@given(SHOWN, SHOWN)
def test_no_side_stretches_a_float64_limit_by_its_own_noise(torch: float, jax: float) -> None:
    assert float64_limit(torch, jax) == float64_limit(jax, torch) == float64_limit(min(torch, jax), 1.0)
    assert float64_limit(torch, jax) <= max(FLOAT64_FACTOR * min(torch, jax), FLOAT64_FLOOR)


@given(SHOWN, SHOWN, st.none() | SHOWN)
def test_a_float32_limit_with_power_stays_below_the_cap(distance: float, noise: float, coarse: float | None) -> None:
    limit, has_power = float32_limit(distance, noise, coarse)
    yardstick = max(distance, noise, FEW)
    if coarse is not None and has_power:
        assert limit <= CAP * coarse
    else:
        assert limit == FLOAT32_FACTOR * yardstick
    # Whatever is as far away as the yardstick, the other side and its noise among it, agrees if there is no cap below.
    assert limit >= yardstick or (coarse is not None and limit == CAP * coarse)


@given(SHOWN, SHOWN, SHOWN)
def test_a_cap_has_power_above_noise_and_above_what_a_sum_may_lose(
    distance: float, noise: float, coarse: float
) -> None:
    low = LOW_CAP * EPS["float32"]
    assert float32_limit(distance, noise, coarse).has_power == (max(noise, low) <= CAP * coarse)


def test_both_sides_of_the_low_cap() -> None:
    below, above = (share * LOW_CAP * EPS["float32"] / CAP for share in (0.99, 1.01))
    far = 2 * LOW_CAP * EPS["float32"]
    for other_distance in (0.0, far):
        assert not float32_limit(other_distance, 0.0, below).has_power
        assert float32_limit(other_distance, 0.0, below).limit > far
        assert float32_limit(other_distance, 0.0, above).has_power
        assert float32_limit(other_distance, 0.0, above).limit < far


@pytest.mark.parametrize(
    ("stage", "tensor", "answer"),
    [
        ("forward", "fc1.output", True),
        ("forward", "fc1.call2.output", True),
        ("forward", "output", True),
        ("forward", "fc1.input", False),
        ("forward", "fc1.call2.input2", False),
        ("forward", "input_layer.output", True),
        ("forward", "scores#2.tap", True),
        ("backward", "fc1.weight", True),
        ("backward", "fc1.input", True),
        ("trajectory", "gradient.fc1.weight", False),
        ("trajectory", "fc1.weight", False),
        ("trajectory", "loss", False),
        ("loss", "loss", False),
        ("update", "fc1.weight", False),
        ("update", "exp_avg.fc1.weight", False),
        ("score", "test.output", False),
    ],
)
def test_the_cap_is_for_activations_and_gradients(stage: str, tensor: str, answer: bool) -> None:
    assert stage in STAGES
    assert capped(Key(stage, 0, tensor)) is answer


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_no_limit_is_narrower_than_the_narrowest(dtype: Dtype) -> None:
    assert narrowest(dtype) == float32_limit(0.0, 0.0, None, dtype=dtype).limit
    assert narrowest(dtype) < float32_limit(1.0, 0.0, None, dtype=dtype).limit
