"""Another function between two layers is told by both layers' recorded numbers."""

from __future__ import annotations

import numpy as np
import pytest

from parity.judging.hints.activations import functions, of_a_segment
from parity.recording import Array
from parity_tests.parity.judging.hints.made_cases import drawn, noisy, of_forward, words

BY_NAME = {function.name: function.of for function in functions()}
WIDE, OTHER = drawn(8, 40), drawn(8, 40, seed=1)


def told(expected: Array, found: Array, before: Array = WIDE) -> str:
    sides = (
        {"fc1.output": before, "fc1b.output": OTHER, "narrow.output": before[:, :3], "fc2.input": array}
        for array in (expected, found)
    )
    return words(next(of_a_segment(of_forward(sides, "fc2.input")), None))


@pytest.mark.parametrize(
    ("expected", "found"),
    [
        ("tanh GELU", "exact GELU"),
        ("exact GELU", "sigmoid GELU"),
        ("ReLU", "no activation"),
        ("no activation", "ReLU"),
        ("ReLU", "leaky ReLU of slope 0.01"),
        ("SiLU", "sigmoid"),
        ("softmax", "log-softmax"),
        ("softplus", "ELU"),
        ("tanh", "leaky ReLU of slope 0.2"),
    ],
)
def test_both_functions_are_named(expected: str, found: str) -> None:
    assert told(BY_NAME[expected](WIDE), BY_NAME[found](WIDE)) == (
        f"as with {found} after fc1.output where on the torch side it fits {expected}"
    )


def test_exact_and_tanh_gelu_are_told_apart_where_they_are_nearest() -> None:
    small = 0.02 * WIDE
    assert "exact GELU" in told(BY_NAME["tanh GELU"](small), BY_NAME["exact GELU"](small), small)


@pytest.mark.parametrize(
    ("expected", "found"),
    [
        (noisy(BY_NAME["tanh GELU"](WIDE)), BY_NAME["exact GELU"](WIDE)),
        (BY_NAME["tanh GELU"](WIDE), noisy(BY_NAME["exact GELU"](WIDE), 1e-6)),
        (BY_NAME["ReLU"](WIDE), 2 * WIDE),
        (BY_NAME["ReLU"](WIDE), np.where(WIDE > 0, WIDE, 0.05 * WIDE)),
        (BY_NAME["SiLU"](2 * WIDE), BY_NAME["ReLU"](WIDE)),
        (BY_NAME["ReLU"](WIDE), BY_NAME["ReLU"](WIDE)),
    ],
    ids=range(6),
)
def test_what_no_function_explains_on_both_sides_is_not_told(expected: Array, found: Array) -> None:
    assert told(expected, found) == ""


def test_positive_numbers_do_not_tell_a_relu() -> None:
    positive = np.abs(WIDE)
    assert told(positive, positive) == ""


def test_each_function_differs_from_each_other() -> None:
    outputs = [function(4 * WIDE) for function in BY_NAME.values()]
    assert all(np.max(np.abs(a - b)) > 1e-4 for i, a in enumerate(outputs) for b in outputs[:i])


def test_a_loss_has_no_segment() -> None:
    sides = ({"fc1.output": np.asarray(1.0), "output": np.asarray(value)} for value in (1.0, 2.0))
    assert list(of_a_segment(of_forward(sides, "output"))) == []
