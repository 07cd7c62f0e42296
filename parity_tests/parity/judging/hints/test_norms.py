"""What a normalising layer did otherwise is told by what went in and came out."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from parity.judging.hints.norms import Layer, Way, of_a_norm
from parity.recording import Array, Arrays
from parity_tests.parity.judging.hints.made_cases import drawn, noisy, of_forward, words

ROWS = drawn(6, 5, 16) * np.exp(drawn(6, 5, 1, seed=1))
IMAGES = drawn(8, 12, 3, 3) * np.exp(drawn(1, 12, 1, 1, seed=1)) + 1
HEADS = ROWS.reshape(30, 16)
HEADED = Way("GroupNorm", 4)
LAYER, RMS = Way("LayerNorm", 0), Way("RMSNorm", 0, centred=False)
BATCH, RUNNING, GROUP = (
    Way("batch statistics", -1),
    Way("running statistics, as in evaluation", -2),
    Way("GroupNorm", 3),
)


def own(features: int) -> Arrays:
    arrays = {"weight": 1 + 0.1 * drawn(features, seed=2), "bias": drawn(features, seed=3)}
    if features == 12:
        arrays |= {"running_mean": drawn(12, seed=4), "running_var": np.exp(drawn(12, seed=5))}
    return arrays


def told(given_: Array, expected: Array, found: Array, arrays: Arrays) -> str:
    sides = ({"ln.input": given_, "ln.output": output} for output in (expected, found))
    made = of_forward(sides, "ln.output", {f"ln.{name}": array for name, array in arrays.items()})
    return words(next(of_a_norm(made), None))


def between(given_: Array, right: tuple[Way, float], wrong: tuple[Way, float], **without: None) -> str:
    arrays = {
        name: array for name, array in own(given_.shape[1] if given_.ndim == 4 else 16).items() if name not in without
    }
    layer = Layer(given_, arrays)
    return told(given_, layer.output(*right), layer.output(*wrong), arrays)


FITS = "where on the torch side it fits"


@pytest.mark.parametrize(
    ("given_", "way"), [(ROWS, LAYER), (ROWS, RMS), (IMAGES, BATCH), (IMAGES, GROUP), (HEADS, HEADED)]
)
@pytest.mark.parametrize("epsilon", [1e-6, 1e-3, 1e-12, 0.0])
def test_another_epsilon_is_told_with_both(given_: Array, way: Way, epsilon: float) -> None:
    assert between(given_, (way, 1e-5), (way, epsilon)) == f"as with epsilon {epsilon:g} {FITS} 1e-05"


@given(st.integers(0, 2**31), st.integers(3, 20), st.integers(4, 32), st.floats(1e-8, 1e-2))
def test_an_epsilon_is_told_at_any_size(seed: int, rows: int, features: int, epsilon: float) -> None:
    given_, arrays = drawn(rows, features, seed=seed), {"weight": 1 + 0.1 * drawn(features, seed=2)}
    layer, epsilon = Layer(given_, arrays), float(f"{epsilon:.3g}")
    said = told(given_, layer.output(LAYER, 1e-5), layer.output(LAYER, epsilon), arrays)
    assert said == ("" if epsilon == 1e-5 else f"as with epsilon {epsilon:g} {FITS} 1e-05")


@pytest.mark.parametrize(
    ("given_", "right", "wrong", "said"),
    [
        (ROWS, LAYER, Way("LayerNorm", 0, unbiased=True), f"as with the unbiased variance {FITS} the biased variance"),
        (IMAGES, BATCH, Way("", -1, unbiased=True), f"as with the unbiased variance {FITS} the biased variance"),
        (ROWS, LAYER, RMS, f"as with RMSNorm {FITS} LayerNorm"),
        (ROWS, RMS, LAYER, f"as with LayerNorm {FITS} RMSNorm"),
        (IMAGES, BATCH, RUNNING, f"as with running statistics, as in evaluation {FITS} batch statistics"),
        (IMAGES, GROUP, Way("GroupNorm", 4), f"as with GroupNorm of 4 groups {FITS} GroupNorm of 3 groups"),
        (HEADS, HEADED, Way("GroupNorm", 8), f"as with GroupNorm of 8 groups {FITS} GroupNorm of 4 groups"),
        (ROWS, LAYER, Way("LayerNorm", 0, outside=True),
         f"as with epsilon 1e-05 outside the root {FITS} epsilon 1e-05 inside the root"),
    ],
)  # fmt: skip
def test_another_way_with_the_same_epsilon_is_told(given_: Array, right: Way, wrong: Way, said: str) -> None:
    assert between(given_, (right, 1e-5), (wrong, 1e-5)) == said


def test_a_layer_without_a_bias_is_told_too() -> None:
    assert "epsilon 1e-06" in between(ROWS, (RMS, 1e-5), (RMS, 1e-6), bias=None)


NEAR: dict[str, Callable[[Array], Array]] = {
    "noise": noisy,
    "little noise": lambda output: noisy(output, 1e-9),
    "scaled too": lambda output: 1.001 * output,
    "nothing": lambda output: output,
}


@pytest.mark.parametrize("near", NEAR)
def test_an_output_that_is_changed_in_two_ways_is_not_told(near: str) -> None:
    arrays = own(16)
    layer = Layer(ROWS, arrays)
    right = layer.output(LAYER, 1e-5)
    wrong = right if near == "nothing" else layer.output(LAYER, 1e-6)
    assert told(ROWS, right, NEAR[near](wrong), arrays) == ""
    assert told(ROWS, noisy(right), wrong, arrays) == ""


def test_epsilon_and_variance_at_once_are_told_together_or_not_at_all() -> None:
    said = between(ROWS, (LAYER, 1e-5), (Way("LayerNorm", 0, unbiased=True), 1e-3))
    assert said == f"as with epsilon 0.001 and the unbiased variance {FITS} 1e-05"


def test_one_variance_is_not_enough_to_tell_an_epsilon() -> None:
    assert between(ROWS[:1, :1], (LAYER, 1e-5), (LAYER, 1e-6)) == ""
    assert between(ROWS[:1, :1], (LAYER, 1e-5), (Way("LayerNorm", 0, unbiased=True), 1e-5)) == ""


def test_a_layer_that_does_not_normalise_is_none() -> None:
    arrays = {"weight": drawn(16, 16), "bias": drawn(16)}
    output = ROWS @ arrays["weight"].T + arrays["bias"]
    assert told(ROWS, output, 1.5 * output, arrays) == ""
    assert told(ROWS, ROWS * own(16)["weight"], ROWS, {"weight": own(16)["weight"]}) == ""
