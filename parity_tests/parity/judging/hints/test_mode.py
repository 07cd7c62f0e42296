"""Scores in training mode are told by what the other side gives in it, whichever side made them."""

from __future__ import annotations

from typing import Any

import pytest

from parity.arrays.draws import STREAM, stream
from parity.errors import NotCheckable
from parity.judging.hints.mode import looks_like_training
from parity.recording import Array, Arrays, Batch, Framework, Key
from parity_tests.parity.judging.hints.made_cases import drawn, noisy
from parity_tests.parity.made_recordings import recording

KEY = Key("score", 0, "held out.output")
WEIGHT, INPUTS, EVALUATED = drawn(6, 6, seed=1), drawn(8, 6), drawn(8, 6, seed=2)
TRAINED = INPUTS @ WEIGHT


class Live:
    """A side whose model multiplies by its weight in training mode, and fails if it is told to."""

    def __init__(self, *, modes: bool = True, fails: bool = False) -> None:
        self._carried: Batch = {STREAM: stream(3, 0)} if modes else {}
        self._fails = fails

    def batches(self, seed: int, steps: int) -> list[Batch]:
        return [{"inputs": INPUTS + step} | self._carried for step in range(steps)]

    def scored(self, seed: int) -> dict[str, Batch]:
        return {"other": {"inputs": -INPUTS}, "held out": {"inputs": INPUTS}}

    def forward(self, parameters: Arrays, batch: Batch) -> Arrays:
        if self._fails:
            raise NotCheckable("expected more than 1 value per channel")
        # A dropout without a stream would draw of its own.
        assert batch[STREAM].tolist() == [3, 0]
        return {"output": batch["inputs"] @ parameters["weight"]}


def told(torch: Array, jax: Array, key: Key = KEY, live: dict[str, Live] | None = None) -> str:
    ran: Any = live or {"torch": Live(), "jax": Live()}
    outputs: dict[Framework, Array] = {"torch": torch, "jax": jax}
    sides = {
        side: recording(("init", 0, {"weight": 0 * WEIGHT}), ("trajectory", 1, {"weight": WEIGHT}),
                        ("score", 0, {key.tensor: output}))
        for side, output in outputs.items()
    }  # fmt: skip
    return looks_like_training(key, sides, ran, 3, 2)


def test_the_side_that_scored_in_training_mode_is_named() -> None:
    assert (
        told(EVALUATED, TRAINED) == "on the jax side it is as in training mode on the torch side (explains it exactly)"
    )
    assert (
        told(TRAINED, EVALUATED) == "on the torch side it is as in training mode on the jax side (explains it exactly)"
    )


def test_against_a_recorded_side_the_other_one_tells() -> None:
    assert told(TRAINED, EVALUATED, live={"jax": Live()}).startswith("on the torch side")
    assert told(EVALUATED, TRAINED, live={"jax": Live()}) == ""


@pytest.mark.parametrize("found", [noisy(TRAINED), -TRAINED, TRAINED[1:]], ids=["near", "other", "shape"])
def test_other_scores_are_not_told(found: Array) -> None:
    assert told(EVALUATED, found) == ""


def test_a_model_that_is_the_same_in_both_modes_explains_nothing() -> None:
    assert told(TRAINED, EVALUATED, live={"torch": Live()}) == ""


@pytest.mark.parametrize("live", [Live(modes=False), Live(fails=True)], ids=["no modes", "fails"])
def test_nothing_is_said_where_there_is_no_training_mode(live: Live) -> None:
    assert told(EVALUATED, TRAINED, live={"torch": live}) == ""


@pytest.mark.parametrize("tensor", ["held out.predictions", "elsewhere.output"])
def test_nothing_is_said_of_what_a_model_does_not_give(tensor: str) -> None:
    assert told(EVALUATED, TRAINED, Key("score", 0, tensor)) == ""
