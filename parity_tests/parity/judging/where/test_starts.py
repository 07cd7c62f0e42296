"""Where differences start, rather than where they arrive: one mistake does not hide the next."""

from __future__ import annotations

from typing import Any

import jax
import numpy as np
import pytest
from flax import nnx

from parity import check
from parity.judging.distance.difference import Scales
from parity.judging.where.starts import starts
from parity.recording import Recording
from parity.verdict import Start
from parity_tests.parity.judging.test_check_modules import pair
from parity_tests.parity.made_verdicts import provenance
from parity_tests.parity.small_jax import Small

pytestmark = pytest.mark.usefixtures("compiled_quickly")

PLACES = ("a.input", "a.output", "b#2.input", "b#2.output", "output")


def found(**moved: float) -> list[str]:
    """Where a pass differs that moves some places, by name, although it was handed the right ones."""
    judge = Recording(provenance("torch", "float64"))
    judge.add("forward", 0, {name: np.ones(3) for name in PLACES})
    taught = {name: np.ones(3) + moved.get(name, 0.0) for name in PLACES}
    return [
        str(start)
        for start in starts(judge, 0, taught, Scales({}, frozenset()), frozenset({"skipped"}), casts={}, inside=())
    ]


@pytest.mark.parametrize(
    ("moved", "expected"),
    [
        ({}, []),
        ({"a.input": 1e-13}, []),
        ({"a.input": 0.5}, ["between the batch and a.input (0.5)"]),
        ({"a.output": 0.5, "b#2.output": 0.25}, ["in layer a (0.5)", "in layer b#2 (0.25)"]),
        (
            {"b#2.input": 0.5, "output": 0.5},
            ["between a.output and b#2.input (0.5)", "between b#2.output and output (0.5)"],
        ),
        ({"a.output": float("nan")}, ["in layer a (nan)"]),
    ],
)
def test_a_place_that_differs_by_itself_is_told_with_what_is_before_it(
    moved: dict[str, float], expected: list[str]
) -> None:
    assert found(**moved) == expected


def test_a_tap_divides_what_is_before_it_from_what_is_behind_it_and_so_a_layer() -> None:
    names = ("a.input", "a.inside.tap", "a.output", "between.tap", "b.output")
    judge = Recording(provenance("torch", "float64"))
    judge.add("forward", 0, {name: np.ones(3) for name in names})
    taught = {name: np.full(3, 1.5) for name in names}
    said = [
        start.where for start in starts(judge, 0, taught, Scales({}, frozenset()), frozenset(), casts={}, inside=())
    ]
    assert said == [
        "between the batch and a.input", "between a.input and a.inside.tap", "between a.inside.tap and a.output",
        "between a.output and between.tap", "between between.tap and b.output",
    ]  # fmt: skip


class Epsilon(Small):
    """Batch norm with another epsilon."""

    def __init__(self, rngs: nnx.Rngs) -> None:
        super().__init__(rngs)
        self.norm.epsilon = 1e-3


class Leaky(Epsilon):
    """And another activation behind it."""

    def __call__(self, inputs: jax.Array) -> jax.Array:
        return self.outer(self.dropout(nnx.leaky_relu(self.norm(self.inner(inputs)))))


def started(model: Any) -> list[Start]:
    return check(pair(jax={"model": model})).starts


def test_what_only_arrives_is_no_start() -> None:
    assert [start.where for start in started(Epsilon)] == ["in layer norm"]


def test_every_mistake_is_a_start_of_its_own() -> None:
    assert [start.where for start in started(Leaky)] == ["in layer norm", "between norm.output and outer.input"]


def test_where_nothing_differs_in_the_forward_stage_nothing_starts_there() -> None:
    assert started(Small) == []
    assert check(pair(jax={"loss": "parity_tests.parity.small_jax:halved"})).starts == []


def test_a_torch_side_is_taught_by_a_jax_judge_alike() -> None:
    from parity.recording import FRAMEWORKS
    from parity.sides.live import live_side

    made = pair()
    sides = {name: live_side(made.side(name), name, "float64", "cpu") for name in FRAMEWORKS}
    initial, batch = sides["jax"].initial(0), sides["jax"].batches(0, 1)[0]
    right = sides["jax"].observe(initial, batch).forward
    for side in sides.values():
        parameters = side.initial(0)
        given = right | {"norm.output": 2 * right["norm.output"]}
        taught = side.taught(parameters, batch, given)
        np.testing.assert_allclose(taught["norm.output"], right["norm.output"], atol=1e-12)
        np.testing.assert_allclose(taught["outer.input"], 2 * right["outer.input"], atol=1e-12)
        np.testing.assert_allclose(taught["outer.output"], right["outer.output"], atol=1e-12)
