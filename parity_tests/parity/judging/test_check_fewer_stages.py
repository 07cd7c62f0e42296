"""Pairs that declare fewer stages: green for what they declare, red for a mistake there, told what was not asked."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from typing import Any

import pytest

from parity.command.report import closing_line
from parity.errors import NotCheckable
from parity.judging.check import check
from parity.pair.pair import Pair
from parity.recording import FRAMEWORKS, OBSERVED_STEPS, STAGES, Arrays, Framework
from parity.verdict import Verdict
from parity_tests.parity.tiny import tiny
from parity_tests.parity.tiny_draws import draw_parameters

pytestmark = pytest.mark.usefixtures("compiled_quickly")

INFERENCE = ("data", "init", "forward", "score")
STEPS = OBSERVED_STEPS + 2


def port(stages: tuple[str, ...] = INFERENCE, **sides: dict[str, Any]) -> Pair:
    """The tiny pair as a port for inference, some parts replaced: no side names a loss or an optimizer."""
    return without(replace(tiny(STEPS, **sides), stages=stages), loss=None, optimizer=None)


def without(pair: Pair, **parts: Any) -> Pair:
    return replace(pair, torch=replace(pair.torch, **parts), jax=replace(pair.jax, **parts))


@cache
def right() -> Verdict:
    return check(port())


def test_a_port_for_inference_is_green_for_what_it_declares() -> None:
    assert right().outcome == "agree"
    assert [(stage.stage, stage.outcome, stage.reason) for stage in right().stages] == [
        (stage, "agree", "") for stage in INFERENCE
    ]
    assert {found.key.stage for found in right().comparisons} == set(INFERENCE)
    assert (right().curves.losses, right().loops) == ({}, {"torch": {}, "jax": {}})


def test_it_says_what_was_not_asked() -> None:
    assert right().not_asked == ["loss", "backward", "update", "trajectory"]
    assert "AGREE: the same in PyTorch and in JAX: tiny as far as asked (1 of 1 pair" in str(closing_line([right()], 0))


def test_every_batch_is_passed_through_the_layers_where_nothing_is_trained() -> None:
    steps = {found.key.step for found in right().comparisons if found.key.tensor == "inner.output"}
    assert steps == set(range(STEPS))


def test_lower_precision_is_asked_about_where_nothing_is_trained_too() -> None:
    forward = next(stage for stage in right().stages if stage.stage == "forward")
    assert all("coarse" in kinds for kinds in forward.kinds.values())


def test_right_answers_are_those_of_the_initial_parameters() -> None:
    (score,) = right().scores
    assert len(set(score.right.values())) == 1
    assert 0 < next(iter(score.right.values())) < score.total


def bent(seed: int) -> Arrays:
    drawn = draw_parameters(seed)
    drawn["outer.bias"][0] += 1e-6
    return drawn


def scaled(framework: Framework) -> dict[str, Any]:
    """A side whose output is larger by a millionth."""
    side = tiny().side(framework)
    module = __import__(str(side.predict).partition(":")[0], fromlist=["predict"])
    return {"predict": lambda model, batch: module.predict(model, batch) * (1 + 1e-6)}


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_a_mistake_in_a_declared_stage_is_caught_there(framework: Framework) -> None:
    for parts, stage in (({"parameters": bent}, "init"), (scaled(framework), "forward")):
        found = check(port(INFERENCE, **{str(framework): parts}))
        assert found.outcome == "differ"
        assert found.first_difference is not None
        assert found.first_difference.comparison.key.stage == stage


def test_a_mistake_in_what_is_scored_is_caught_without_a_forward_stage() -> None:
    found = check(port(("score",), jax=scaled("jax")))
    assert found.outcome == "differ"
    assert [stage.stage for stage in found.stages] == ["data", "init", "score"]
    assert found.first_difference is not None
    assert found.first_difference.comparison.key.stage == "score"


@pytest.mark.parametrize("last", ["loss", "backward"])
def test_a_pair_may_end_before_the_update(last: str) -> None:
    declared = STAGES[: STAGES.index(last) + 1]
    found = check(without(replace(tiny(), stages=declared), optimizer=None, scored=None))
    assert found.outcome == "agree"
    assert tuple(stage.stage for stage in found.stages) == declared
    assert {c.key.stage for c in found.comparisons} == set(declared)


def test_a_part_that_a_declared_stage_needs_and_nothing_gives_is_told() -> None:
    with pytest.raises(NotCheckable, match="the torch side needs `loss` for the stage loss"):
        port((*INFERENCE, "loss"))
