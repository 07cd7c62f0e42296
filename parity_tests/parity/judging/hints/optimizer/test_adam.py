"""A step of Adam that one constant or one other form explains has its words, and one that none does has none."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from parity.judging.hints.evidence import Case
from parity.judging.hints.optimizer.adam import of_adam
from parity.recording import Array, Arrays
from parity_tests.parity.judging.hints.made_cases import noisy, words
from parity_tests.parity.judging.hints.made_steps import Optimizer, start, taken_otherwise

FITS = "on the torch side it fits"


def adam(
    rate: float = 1e-3, beta1: float = 0.9, beta2: float = 0.999, epsilon: float = 1e-8, decay: float = 0.0, *,
    coupled: bool = False, corrected: bool = True, inside: float = 0.0, nesterov: bool = False, hat: bool = False,
    unscaled: bool = False,
) -> Optimizer:  # fmt: skip
    def take(p: Array, g: Array, memory: Arrays, count: int) -> tuple[Array, Arrays]:
        g = g + decay * p if coupled else g
        m = beta1 * memory.get("exp_avg", 0 * p) + (1 - beta1) * g
        v = beta2 * memory.get("exp_avg_sq", 0 * p) + (1 - beta2) * g**2
        first, second = (1 - beta1**count, 1 - beta2**count) if corrected else (1.0, 1.0)
        mean = m / first
        if nesterov:
            mean = beta1 * m / (1 - beta1 ** (count + 1)) + (1 - beta1) * g / first
        root = np.sqrt(v / second + inside) + (epsilon / second**0.5 if hat else epsilon)
        decayed = 0.0 if coupled else (1.0 if unscaled else rate) * decay
        return p * (1 - decayed) - rate * mean / root, {"exp_avg": m, "exp_avg_sq": v}

    return take


def told(made: Case) -> str:
    return words(next(of_adam(made), None))


def between(right: dict[str, Any], wrong: dict[str, Any], steps: int, tensor: str = "a.weight") -> str:
    return told(taken_otherwise(adam(**right), adam(**right | wrong), steps, tensor))


WRONG: list[tuple[dict[str, Any], dict[str, Any], str]] = [
    ({}, {"rate": 1.01e-3}, f"as with learning rate 0.00101, 1.01 times as large, where {FITS} 0.001"),
    ({}, {"rate": -1e-3}, "as with the learning rate of the opposite sign"),
    ({}, {"epsilon": 1e-7}, f"as with epsilon 1e-07 where {FITS} 1e-08"),
    ({}, {"epsilon": 1e-3}, f"as with epsilon 0.001 where {FITS} 1e-08"),
    (
        {},
        {"epsilon": 0.0, "inside": 1e-8},
        "as with epsilon 1e-08 inside the root where on the torch side it is outside",
    ),
    ({}, {"epsilon": 0.0, "inside": 1e-12}, f"as with epsilon 1e-12 inside the root where {FITS} 1e-08 outside"),
    ({}, {"corrected": False}, "as without bias correction"),
    ({}, {"nesterov": True}, "as with Nesterov's momentum"),
    ({}, {"hat": True}, "as with epsilon 1e-08 added before the bias correction"),
    ({}, {"decay": 0.01}, f"as with weight decay 0.01 where {FITS} 0"),
    ({"decay": 0.01}, {"decay": 1e-4}, f"as with weight decay 0.0001 where {FITS} 0.01"),
    ({"decay": 0.01}, {"decay": 0.0}, "as without the weight decay of 0.01"),
    ({"decay": 0.01}, {"unscaled": True}, "as with weight decay 0.01 not multiplied by the learning rate"),
    ({"decay": 0.01}, {"rate": 2e-3}, f"as with learning rate 0.002, 2 times as large, where {FITS} 0.001"),
    ({"decay": 0.01}, {"epsilon": 1e-6}, f"as with epsilon 1e-06 where {FITS} 1e-08"),
    ({"corrected": False}, {"corrected": True}, "as with bias correction"),
    ({"nesterov": True}, {"nesterov": False}, "as without Nesterov's momentum"),
]


@pytest.mark.parametrize("steps", [1, 2, 4])
@pytest.mark.parametrize(("right", "wrong", "said"), WRONG, ids=[said for _, _, said in WRONG])
def test_the_constant_or_the_form_is_told(right: dict[str, Any], wrong: dict[str, Any], said: str, steps: int) -> None:
    assert between(right, wrong, steps) == said


@pytest.mark.parametrize("steps", [1, 3])
@pytest.mark.parametrize(
    ("right", "wrong", "said"),
    [
        ({}, {"beta1": 0.95}, f"as with beta1 0.95 where {FITS} 0.9"),
        ({}, {"beta2": 0.95}, f"as with beta2 0.95 where {FITS} 0.999"),
        ({}, {"decay": 0.01, "coupled": True},
         f"as with weight decay 0.01 coupled, in the gradient, where {FITS} none"),
        ({"decay": 0.01}, {"coupled": True},
         f"as with weight decay 0.01 coupled, in the gradient, where {FITS} 0.01 decoupled"),
        ({"decay": 0.01, "coupled": True}, {"coupled": False},
         "as with weight decay 0.01 decoupled, where on the torch side it is coupled"),
        ({"decay": 0.01, "coupled": True}, {"decay": 0.0},
         f"as without weight decay in the gradient, where {FITS} 0.01"),
    ],
)  # fmt: skip
def test_what_the_moments_show_is_told(right: dict[str, Any], wrong: dict[str, Any], said: str, steps: int) -> None:
    for tensor in ("exp_avg_sq.a.weight",) if "beta2" in wrong else ("exp_avg.a.weight",):
        assert between(right, wrong, steps, tensor) == said


@given(st.floats(1e-5, 1e-1), st.floats(1e-10, 1e-4), st.integers(1, 3))
def test_a_rate_and_an_epsilon_are_told_at_any_size(rate: float, epsilon: float, steps: int) -> None:
    rate, epsilon = float(f"{rate:.3g}"), float(f"{epsilon:.2g}")
    assert f"learning rate {1.5 * rate:g}" in between({"rate": rate}, {"rate": 1.5 * rate}, steps)
    assert f"epsilon {10 * epsilon:g} where" in between({"epsilon": epsilon}, {"epsilon": 10 * epsilon}, steps)


@pytest.mark.parametrize("steps", [1, 3])
@pytest.mark.parametrize(
    "wrong",
    [
        {"rate": 1.1e-3, "epsilon": 1e-6},
        {"rate": 1.1e-3, "decay": 0.1},
        {"epsilon": 1e-6, "decay": 0.1},
        {"beta1": 0.95, "rate": 1.1e-3},
        {"corrected": False, "epsilon": 1e-6},
        {},
    ],
)
def test_two_changes_at_once_are_not_told_as_one(wrong: dict[str, Any], steps: int) -> None:
    tensor = "exp_avg.a.weight" if "beta1" in wrong else "a.weight"
    assert between({"decay": 0.01}, wrong, steps, tensor) == ""


def test_noise_is_not_told() -> None:
    for change in (noisy, lambda p: noisy(p, 1e-9)):
        assert told(taken_otherwise(adam(), adam(rate=1.01e-3), 2, change=change)) == ""
        assert told(taken_otherwise(adam(), adam(), 2, change=change)) == ""


def test_what_rounding_of_a_moment_explains_is_no_other_constant() -> None:
    def rounded(p: Array, g: Array, memory: Arrays, count: int) -> tuple[Array, Arrays]:
        return adam()(p, g + 1e-13, memory, count)

    said = told(taken_otherwise(adam(), rounded, 1))
    assert said == "as the same rule has it of moments that differ by rounding alone"


def test_another_optimizer_is_not_told() -> None:
    def sgd(p: Array, g: Array, memory: Arrays, count: int) -> tuple[Array, Arrays]:
        return p - 1e-3 * g, memory

    assert told(taken_otherwise(adam(), sgd, 1)) == ""
    assert told(taken_otherwise(sgd, lambda p, g, memory, count: (p - 2e-3 * g, memory), 1)) == ""


def test_one_parameter_alone_may_be_moved_otherwise() -> None:
    def wrong(p: Array, g: Array, memory: Arrays, count: int) -> tuple[Array, Arrays]:
        return adam(rate=2e-3 if p.shape == (12, 8) else 1e-3)(p, g, memory, count)

    said = f"as with learning rate 0.002, 2 times as large, where {FITS} 0.001, of this parameter alone"
    assert told(taken_otherwise(adam(), wrong, 2)) in ("", said)


def test_a_parameter_of_one_number_does_not_tell_an_epsilon() -> None:
    one = start(shapes={"a.weight": (1, 1)})
    for wrong in (adam(epsilon=1e-7), adam(rate=1.01e-3)):
        assert told(taken_otherwise(adam(), wrong, 1, initial=one)) == ""


def test_a_parameter_that_did_not_move_where_it_was_expected_tells_no_rate() -> None:
    assert told(taken_otherwise(adam(rate=0.0), adam(), 1)) == ""
    assert told(taken_otherwise(adam(), adam(rate=0.0), 1)) == ""
