"""A step of gradient descent that one constant or one other form explains has its words, and no other has."""

from __future__ import annotations

from typing import Any

import pytest

from parity.judging.hints.evidence import Case
from parity.judging.hints.optimizer.sgd import of_sgd
from parity.recording import Array, Arrays
from parity_tests.parity.judging.hints.made_cases import noisy, words
from parity_tests.parity.judging.hints.made_steps import Optimizer, start, taken_otherwise

FITS = "on the torch side it fits"


def sgd(rate: float = 0.1, momentum: float | None = None, decay: float = 0.0, *, nesterov: bool = False) -> Optimizer:
    def take(p: Array, g: Array, memory: Arrays, count: int) -> tuple[Array, Arrays]:
        g = g + decay * p
        if momentum is None:
            return p - rate * g, {}
        buffer = momentum * memory.get("momentum_buffer", 0 * p) + g
        return p - rate * (g + momentum * buffer if nesterov else buffer), {"momentum_buffer": buffer}

    return take


def told(made: Case) -> str:
    return words(next(of_sgd(made), None))


def between(right: dict[str, Any], wrong: dict[str, Any], steps: int) -> str:
    return told(taken_otherwise(sgd(**right), sgd(**right | wrong), steps))


HEAVY = {"momentum": 0.9}


@pytest.mark.parametrize(
    ("right", "wrong", "steps", "said"),
    [
        ({}, {"rate": 0.101}, 1, f"as with learning rate 0.101, 1.01 times as large, where {FITS} 0.1"),
        ({}, {"rate": -0.1}, 2, "as with the learning rate of the opposite sign"),
        ({}, {"decay": 0.01}, 1, f"as with weight decay 0.01 where {FITS} 0"),
        ({"decay": 0.01}, {"decay": 0.02}, 2, f"as with weight decay 0.02 where {FITS} 0.01"),
        ({"decay": 0.01}, {"rate": 0.2}, 2, f"as with learning rate 0.2, 2 times as large, where {FITS} 0.1"),
        (HEAVY, {"rate": 0.2}, 1, f"as with learning rate 0.2, 2 times as large, where {FITS} 0.1"),
        (HEAVY, {"rate": 0.2}, 3, f"as with learning rate 0.2, 2 times as large, where {FITS} 0.1"),
        (HEAVY, {"nesterov": True}, 3, "as with Nesterov's momentum"),
        (HEAVY | {"nesterov": True}, {"nesterov": False}, 3, "as without Nesterov's momentum"),
        (HEAVY, {"momentum": 0.8}, 3, f"as with momentum 0.8 where {FITS} 0.9"),
        (HEAVY, {"decay": 0.01}, 1, f"as with weight decay 0.01 where {FITS} 0"),
        (HEAVY | {"decay": 0.01}, {"decay": 0.0}, 3, "as without the weight decay of 0.01"),
    ],
)
def test_the_constant_or_the_form_is_told(right: dict[str, Any], wrong: dict[str, Any], steps: int, said: str) -> None:
    assert between(right, wrong, steps) == said


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        ({}, {"rate": 0.2, "decay": 0.01}),
        ({}, {}),
        (HEAVY, {"rate": 0.2, "momentum": 0.8}),
        (HEAVY, {"momentum": 0.8, "decay": 0.01}),
        (HEAVY, {"rate": 0.2, "nesterov": True}),
    ],
)
def test_two_changes_at_once_are_not_told_as_one(right: dict[str, Any], wrong: dict[str, Any]) -> None:
    assert between(right, wrong, 3) == ""


def test_noise_is_not_told() -> None:
    for right in (sgd(), sgd(momentum=0.9)):
        assert told(taken_otherwise(right, sgd(rate=0.2, momentum=0.9), 2, change=noisy)) == ""
        assert told(taken_otherwise(right, right, 2, change=noisy)) == ""


def test_two_single_numbers_tell_a_rate_and_one_does_not() -> None:
    two, one = (start(shapes=dict.fromkeys(names, (1,))) for names in (("m", "c"), ("m",)))
    assert "1.01 times as large" in told(taken_otherwise(sgd(), sgd(rate=0.101), 1, "m", initial=two))
    assert told(taken_otherwise(sgd(), sgd(rate=0.101), 1, "m", initial=one)) == ""


def test_a_parameter_that_did_not_move_where_it_was_expected_tells_no_rate() -> None:
    for right, still in ((sgd(), sgd(rate=0.0)), (sgd(momentum=0.9), sgd(rate=0.0, momentum=0.9))):
        assert told(taken_otherwise(still, right, 2)) == ""
        assert told(taken_otherwise(right, still, 2)) == ""
