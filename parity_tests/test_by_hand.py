"""The second judge itself: numbers worked out on paper, and its gradients against finite differences of its losses."""

from __future__ import annotations

import itertools
import math
from typing import NamedTuple

import numpy as np
import pytest

from parity_tests import by_hand
from parity_tests.by_hand import Arrays, Batch, Problem, State
from parity_tests.finite_differences import measure, no_kink, slope, wrong_gradients

GENERATOR_SEED = 0


class Case(NamedTuple):
    """A problem, parameters and a batch small enough for many evaluations, and what feeds its ReLUs."""

    problem: Problem
    parameters: Arrays
    batch: Batch
    images: str | None


def dense(generator: np.random.Generator, *widths: int) -> Arrays:
    parameters = {}
    for number, (ins, outs) in enumerate(itertools.pairwise(widths)):
        bound = 1 / math.sqrt(ins)
        parameters[f"{number}.weight"] = generator.uniform(-bound, bound, (outs, ins))
        parameters[f"{number}.bias"] = generator.uniform(-bound, bound, outs)
    return parameters


def case(name: str) -> Case:
    generator = np.random.default_rng(GENERATOR_SEED)
    if name == "line_fit":
        parameters = {"m": np.array([5.1]), "c": np.array([2.05])}
        batch = {"x": generator.normal(size=(5, 100)), "target": generator.normal(size=(1, 100))}
        return Case(by_hand.line_fit, parameters, batch, None)
    if name == "mlp":
        batch = {"x": generator.normal(size=(100, 5)), "target": generator.normal(size=(100, 5))}
        return Case(by_hand.mlp, dense(generator, 5, 5, 5), batch, "x")
    digits: Batch = {"images": generator.uniform(size=(20, 784)), "labels": generator.integers(0, 10, 20)}
    return Case(by_hand.mnist, dense(generator, 784, 100, 100, 10), digits, "images")


def test_line_fit_has_the_notebooks_numbers() -> None:
    batch: Batch = {"x": np.array(2.0), "target": np.array(13.0)}
    for m, c, y, expected in ((5.0, 2.0, 12.0, 1.0), (5.02, 2.3, 12.34, 0.66)):
        output, loss, gradients = by_hand.line_fit({"m": np.array(m), "c": np.array(c)}, batch)
        assert output == pytest.approx(y, rel=1e-14)
        assert loss == pytest.approx(expected, rel=1e-14)
        assert gradients == {"m": -2.0, "c": -1.0}


def test_line_fit_at_a_loss_of_zero_has_gradients_of_zero() -> None:
    parameters = {"m": np.array(5.0), "c": np.array(2.0)}
    _, loss, gradients = by_hand.line_fit(parameters, {"x": np.array(2.0), "target": np.array(12.0)})
    assert loss == 0.0
    assert gradients == {"m": 0.0, "c": 0.0}


def test_mlp_has_the_numbers_worked_out_on_paper() -> None:
    parameters = {
        "0.weight": np.array([[2.0], [-2.0]]),  # the second unit is off at x = 3
        "0.bias": np.array([-1.0, -1.0]),
        "1.weight": np.array([[-1.0, 4.0]]),
        "1.bias": np.array([0.0]),
    }
    output, loss, gradients = by_hand.mlp(parameters, {"x": np.array([[3.0]]), "target": np.array([[1.0]])})
    assert output.tolist() == [[-5.0]]
    assert loss == 36.0
    assert {name: gradient.tolist() for name, gradient in gradients.items()} == {
        "0.weight": [[36.0], [0.0]],
        "0.bias": [12.0, 0.0],
        "1.weight": [[-60.0, 0.0]],
        "1.bias": [-12.0],
    }


def test_mnist_without_knowledge_gives_each_class_a_tenth() -> None:
    _, parameters, batch, _ = case("mnist")
    zeros = {name: np.zeros_like(array) for name, array in parameters.items()}
    _, loss, gradients = by_hand.mnist(zeros, batch)
    assert loss == pytest.approx(math.log(10), rel=1e-15)
    counts = np.bincount(batch["labels"], minlength=10)
    np.testing.assert_allclose(gradients["2.bias"], 0.1 - counts / 20, atol=1e-16)


def test_adams_first_steps_are_those_of_the_paper() -> None:
    state = State({"p": np.array([1.0])}, {"p": np.zeros(1)}, {"p": np.zeros(1)})
    state = by_hand.adam(state, {"p": np.array([-4.0])}, 1, 0.5)
    # Both means are corrected to the gradient itself, so the first step has the size of the rate, but for epsilon.
    assert state.parameters["p"] == pytest.approx(1 + 0.5 * 4 / (4 + 1e-8), rel=1e-15)
    assert state.exp_avg["p"] == pytest.approx(-0.4)
    assert state.exp_avg_sq["p"] == pytest.approx(0.016)
    state = by_hand.adam(state, {"p": np.array([2.0])}, 2, 0.5)
    mean, square = (-0.4 * 0.9 + 0.2) / (1 - 0.81), (0.016 * 0.999 + 0.004) / (1 - 0.999**2)
    assert state.parameters["p"] == pytest.approx(1.5 - 0.5 * mean / math.sqrt(square), abs=1e-8)


@pytest.mark.parametrize("name", ["line_fit", "mlp", "mnist"])
def test_gradients_are_what_the_loss_does_and_a_wrong_one_is_found(name: str) -> None:
    problem, parameters, batch, images = case(name)
    inputs = batch[images] if images else None
    measurements = measure(lambda at: problem(at, batch).loss, parameters, inputs)
    gradients = problem(parameters, batch).gradients
    assert wrong_gradients(measurements, gradients) == []
    for planted in parameters:
        for fault in (-1.0, 0.0, 2.0, 1.0001):
            faulty = gradients | {planted: fault * gradients[planted]}
            assert wrong_gradients(measurements, faulty) == [planted]


def test_the_error_of_a_slope_is_no_larger_than_stated() -> None:
    parameters = {"p": np.array([0.3])}
    for width in (1e-1, 1e-2, 1e-3, 1e-4, 1e-5):
        found = slope(lambda at: math.exp(at["p"][0]), parameters, {"p": np.ones(1)}, width)
        assert abs(found.value - math.exp(0.3)) <= found.error
    assert slope(lambda at: math.exp(at["p"][0]), parameters, {"p": np.ones(1)}).error < 1e-10


def test_a_kink_on_the_way_is_noticed() -> None:
    _, parameters, _, _ = case("mlp")
    parameters["0.bias"] = np.zeros(5)
    at_zero = np.zeros((1, 5))
    along = {"0.bias": np.eye(5)[0]}
    assert not no_kink(parameters, at_zero, along)
    parameters["0.bias"] = np.full(5, 1e-3)
    assert no_kink(parameters, at_zero, along)
    assert not no_kink(parameters, at_zero, along, width=2.6e-4)
    with pytest.raises(ValueError, match="a ReLU switches whichever way it moves"):
        measure(lambda _: 0.0, parameters | {"0.bias": np.zeros(5)}, at_zero)
