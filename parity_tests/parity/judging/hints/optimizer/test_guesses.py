"""Every option of an optimizer, its schedule and its clipping is asked for, and what is not there is put in."""

from __future__ import annotations

from dataclasses import replace

import pytest

from parity.judging.hints.optimizer.clipped import NOTHING_ADDED
from parity.judging.hints.optimizer.guesses import Otherwise, otherwise
from parity.judging.hints.optimizer.ran import Guess
from parity.judging.hints.optimizer.search import words
from parity.pair.optimizers import Clip, Optimizer
from parity_tests.parity.optimizers.beside import Beside
from parity_tests.parity.optimizers.cases import CASES
from parity_tests.parity.optimizers.changes import CHANGES, Change

NAMED = {case.name: case for case in CASES}


def read(case: str) -> Optimizer:
    return Beside(NAMED[case], 0.01).read


def asked(optimizer: Optimizer, *groups: int) -> dict[str, Otherwise]:
    return {one.what: one for one in otherwise(Guess(optimizer), list(groups or (0,)), 1.0, 2.0)}


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: f"{change.case}: {change.option}")
def test_every_option_is_asked_for(change: Change) -> None:
    part, _, name = change.option.partition(".")
    name = name.rpartition(".")[2]
    option = {"order": "norm_type", "by": ""}.get(name, name) if part in ("schedule", "clip") else part
    assert any(option in what.partition(":")[2] for what in asked(read(change.case)))


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_no_value_that_is_tried_is_torchs_own(case: str) -> None:
    for one in asked(Beside(case, 0.01).read).values():  # type: ignore[arg-type]
        assert one.was not in one.starts, one.what
        assert len({*map(str, one.starts)}) == len(one.starts), one.what


def test_an_option_is_changed_in_the_groups_that_differ() -> None:
    of_one = asked(read("AdamW, two groups"), 1)["AdamW, group 1: weight_decay"].made(0.5).optimizer
    assert [group.options["weight_decay"] for group in of_one.groups] == [0.03, 0.5]
    of_both = asked(read("AdamW, two groups"), 0, 1)["AdamW: betas[1]"].made(0.5).optimizer
    assert [group.options["betas"] for group in of_both.groups] == [(0.9, 0.5)] * 2


def test_clipping_and_a_schedule_are_left_out_or_put_in() -> None:
    found = asked(read("clipped, scheduled, two groups"))
    assert found["clip_grad_norm_:"].made("none").optimizer.clip is None
    assert found["CosineAnnealingLR:"].made("none").optimizer.schedule is None
    assert (added := found["clip_grad_norm_: 1e-6 added to the norm"]).made(False).added == 0.0
    assert words(added, False) == added.said == NOTHING_ADDED
    plain = asked(read("SGD"))
    assert plain["clip_grad_norm_:"].made(0.5).optimizer.clip == Clip("norm", 0.5)
    assert plain["clip_grad_value_:"].made(0.5).optimizer.clip == Clip("value", 0.5)


def test_milestones_stay_in_order() -> None:
    made = asked(read("MultiStepLR"))["MultiStepLR: milestones[0]"].made(21).optimizer
    assert made.schedule is not None
    assert made.schedule.options["milestones"] == (20, 20, 21, 41)


def test_another_kind_keeps_the_options_that_both_have() -> None:
    kinds = [one for one in otherwise(Guess(read("Adam, weight decay")), [0], 1.0, 2.0) if one.what == "optimizer:"]
    made = {one.starts[0]: one.made(one.starts[0]).optimizer for one in kinds}
    assert made.keys() == {"SGD", "RMSprop", "Adagrad", "Adamax", "NAdam", "RAdam", "Adadelta", "Rprop"}
    assert made["SGD"].groups[0].options["weight_decay"] == 0.1
    assert made["NAdam"].groups[0].options["momentum_decay"] == 4e-3
    assert "weight_decay" not in made["Rprop"].groups[0].options
    adamw = asked(replace(read("AdamW"), state={}))
    assert "Adam" not in {one.starts[0] for one in adamw.values() if one.what == "optimizer:"}
