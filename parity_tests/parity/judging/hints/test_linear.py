"""A square weight that is transposed on its way into a product is told by the product."""

from __future__ import annotations

import numpy as np

from parity.judging.hints.linear import linear_layer, of_a_weight
from parity.recording import Array, Arrays
from parity_tests.parity.judging.hints.made_cases import drawn, noisy, of_forward, words

GIVEN, WEIGHT, BIAS = drawn(7, 3, 5), drawn(5, 5, seed=1), drawn(5, seed=2)
OWN = {"fc.weight": WEIGHT, "fc.bias": BIAS}
RIGHT, WRONG = GIVEN @ WEIGHT.T + BIAS, GIVEN @ WEIGHT + BIAS


def told(expected: Array, found: Array, own: Arrays = OWN) -> str:
    sides = ({"fc#2.input": GIVEN, "fc#2.output": output} for output in (expected, found))
    return words(next(of_a_weight(of_forward(sides, "fc#2.output", own)), None))


def test_a_transposed_weight_is_told_with_a_bias_and_without() -> None:
    assert told(RIGHT, WRONG) == "as with fc.weight transposed"
    assert told(RIGHT - BIAS, WRONG - BIAS, {"fc.weight": WEIGHT}) == "as with fc.weight transposed"


def test_nothing_else_is_told() -> None:
    for found in (noisy(WRONG), WRONG - BIAS, 2 * WRONG, RIGHT, GIVEN @ drawn(5, 5, seed=3)):
        assert told(RIGHT, found) == ""
    assert told(noisy(RIGHT), WRONG) == ""
    symmetric = WEIGHT + WEIGHT.T
    assert told(GIVEN @ symmetric.T, noisy(GIVEN @ symmetric), {"fc.weight": symmetric}) == ""


def test_a_layer_is_linear_where_its_arrays_make_its_output() -> None:
    sides = [{"fc.input": GIVEN, "fc.output": output} for output in (RIGHT, WRONG)]
    layer = linear_layer(of_forward(sides, "fc.output", OWN))
    assert layer is not None
    assert np.array_equal(layer.weight, WEIGHT)
    for own in (
        {},
        {"fc.weight": WEIGHT[0]},
        {"fc.weight": WEIGHT[:, :4]},
        OWN | {"fc.bias": BIAS[:4]},
        {"fc.weight": 2 * WEIGHT},
    ):
        assert linear_layer(of_forward(sides, "fc.output", own)) is None
    assert linear_layer(of_forward(sides, "fc.input", OWN)) is None
