"""Pairs: what they refuse, and what they take from their two sides."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, cast

import pytest

from parity.errors import NotCheckable
from parity.pair.pair import Pair, Side
from parity.recording import STAGES
from parity_tests.parity.made_verdicts import never, pair


def test_a_side_has_one_way_to_update() -> None:
    with pytest.raises(NotCheckable, match="either `optimizer` or `update`, and not both"):
        Side.from_module("anything", optimizer=never, update=never)


@pytest.mark.parametrize(
    ("lacking", "message"),
    [
        ("update", "the jax side needs `optimizer` or `update` for the stage update, or declare stages without it"),
        ("loss", "the jax side needs `loss` for the stage loss"),
        (
            "scored",
            "the jax side needs `scored` for the stage score, such as scored=lambda seed: {'held out': a_batch} in",
        ),
    ],
)
def test_a_side_needs_the_parts_of_every_stage_that_is_declared(lacking: str, message: str) -> None:
    whole, parts = pair(), cast(Any, {lacking: None})
    with pytest.raises(NotCheckable, match=message):
        replace(whole, jax=replace(whole.jax, **parts))


@pytest.mark.parametrize(
    ("stages", "message"),
    [
        ((), "no stage after init is declared"),
        (("data", "init"), "no stage after init is declared"),
        (("forward", "scores"), "there is no stage 'scores': the stages are data, init, forward,"),
        (("loss",), "the stage loss rests on forward: declare that too"),
        (("forward", "loss", "update"), "the stage update rests on backward and trajectory: declare that too"),
        (("forward", "loss", "backward", "trajectory"), "the stage trajectory rests on update"),
        ("forward", "stages are 'forward': expected a tuple of names"),
    ],
)
def test_stages_that_would_prove_nothing_are_refused(stages: tuple[str, ...], message: str) -> None:
    with pytest.raises(NotCheckable, match=f"pair made: {message}"):
        pair(stages=stages)


def test_declared_stages_stand_in_the_order_of_the_flow_with_data_and_init() -> None:
    assert pair(stages=("score", "forward")).stages == ("data", "init", "forward", "score")
    assert pair().stages == STAGES


def test_layers_in_float32_are_named_by_patterns_of_a_pair_without_loops() -> None:
    with pytest.raises(NotCheckable, match=r"pair made: float32_inside is '\*\.norm': expected a tuple of patterns"):
        pair(float32_inside="*.norm")
    quiet = pair()
    with pytest.raises(NotCheckable, match="the torch side's loops would be judged in float64: leave them out"):
        replace(quiet, torch=replace(quiet.torch, train=never, loops=("stepped",)), float32_inside=("*",))


def test_a_misspelt_word_of_a_pair_is_told_with_those_that_there_are() -> None:
    with pytest.raises(
        NotCheckable,
        match=r"pair: there is no 'weights_map': a pair has torch, jax, batches, .*weight_map, .*, frozen, dtypes$",
    ):
        pair(weights_map={})


def test_a_pair_without_batches_is_told_how_to_have_some() -> None:
    side = Side(model=never, loss=never, update=never)
    with pytest.raises(NotCheckable, match=r"^pair: the torch side needs `batches` .* batches=random_batches\("):
        Pair(torch=side, jax=side)


def test_no_steps_would_compare_nothing() -> None:
    with pytest.raises(NotCheckable, match="steps must be at least 1, not 0"):
        pair(steps=0)


def test_the_usual_names_can_be_replaced() -> None:
    side = Side.from_module("wing.problem", update="wing.problem:update", loss=never)
    assert (side.model, side.loss, side.update) == ("wing.problem:from_arrays", never, "wing.problem:update")


def test_what_a_pair_says_of_its_scores_is_empty_unless_said() -> None:
    side = Side.from_module("anything", update=never)
    made = Pair(name="quiet", torch=side, jax=side)
    assert (made.scored_on, made.published, made.labels) == ({}, {}, None)
