"""Scored batches are compared like all data, every loop is judged, and what goes wrong beyond that is told."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import optax
import pytest
import torch

from parity.errors import NotCheckable
from parity.judging.check import check
from parity.recording import FRAMEWORKS, Framework
from parity_tests.parity.tiny import Mistake, Run, loops, planted, tiny
from parity_tests.parity.tiny_draws import batches, draw_parameters, scored

pytestmark = pytest.mark.usefixtures("compiled_quickly")
both_sides = pytest.mark.parametrize("framework", FRAMEWORKS)


def boom(*_: Any, **__: Any) -> Any:
    raise ValueError("boom")


@both_sides
def test_other_labels_to_score_by_differ_in_the_data(framework: Framework) -> None:
    rolled = {name: batch | {"labels": np.roll(batch["labels"], 1)} for name, batch in scored(0).items()}
    verdict = check(planted(framework, scored=lambda seed: rolled))
    assert verdict.first_difference is not None
    assert verdict.first_difference.comparison.key == ("data", 0, "scored.held out.labels")
    assert "shifted by one example" in verdict.first_difference.looks_like


def test_labels_on_one_side_only_differ() -> None:
    without = {name: {"inputs": batch["inputs"]} for name, batch in scored(0).items()}
    verdict = check(planted("jax", scored=lambda seed: without))
    assert verdict.first_difference is not None
    assert "missing on the jax side" in str(verdict.first_difference)


def test_labels_of_a_wrong_name_cannot_be_checked() -> None:
    words = "'classes' are not in the scored batch held out: it has inputs, labels"
    with pytest.raises(NotCheckable, match=words):
        check(replace(tiny(1), labels="classes"))
    # That is told before anything is trained.
    with pytest.raises(NotCheckable, match=words):
        check(replace(planted("torch", loss=boom), labels="classes"))
    narrow = {name: batch | {"labels": batch["labels"][:, None]} for name, batch in scored(0).items()}
    with pytest.raises(NotCheckable, match=r"labels 'labels' of held out have shape \(32, 1\)"):
        check(planted("torch", loss=boom, scored=lambda seed: narrow))


def losing_its_start(right: Any) -> Any:
    def train(**asked: Any) -> Run:
        losses, state = right(**asked)
        return losses + (asked["start"] > 0), state

    return train


def one_loss_more(right: Any) -> Any:
    def train(**asked: Any) -> Run:
        losses, state = right(**asked)
        return np.append(losses, 0.0), state

    return train


@both_sides
def test_a_loss_too_many_differs(framework: Framework) -> None:
    verdict = check(planted(framework, **loops(framework, {"longer": one_loss_more})), loops=("longer",))
    assert verdict.outcome == "differ"


@both_sides
def test_a_loop_that_only_one_side_has_is_judged_in_float32(framework: Framework) -> None:
    parts = loops(framework, {"losing": losing_its_start})
    verdict = check(planted(framework, steps=3, **parts), loops=("losing",))
    assert verdict.first_difference is not None
    assert verdict.first_difference.comparison.loop == "losing"
    assert check(planted(framework, steps=3, **parts)).outcome == "agree"


def test_a_loop_of_no_such_name_cannot_be_checked() -> None:
    with pytest.raises(NotCheckable, match="none of the loops typo runs here: the sides have stepped"):
        check(planted("torch", **loops("torch")), loops=("typo",))
    with pytest.raises(NotCheckable, match="expected a sequence of names"):
        check(planted("torch", **loops("torch")), loops="stepped")


@both_sides
def test_nothing_missing_means_that_a_loop_runs(framework: Framework) -> None:
    nan: Mistake = lambda right: lambda **asked: (right(**asked)[0] * float("nan"), right(**asked)[1])  # noqa: E731
    parts = loops(framework, {"nan": nan}) | {"missing": lambda loop, device: None}
    assert check(planted(framework, **parts), loops=("nan",)).outcome == "differ"


TOO_SMALL = ({"optimizer": lambda p: torch.optim.Adam(p, lr=1e-14)}, {"optimizer": lambda: optax.adam(1e-14)})


def test_steps_too_small_to_be_seen_on_both_sides_are_inconclusive() -> None:
    verdict = check(tiny(2, *TOO_SMALL))
    assert verdict.outcome == "inconclusive"
    assert "not applied" in next(stage.reason for stage in verdict.stages if stage.stage == "update")


FAULTS: dict[str, tuple[dict[str, Any], str]] = {
    "too few batches": ({"batches": lambda seed, steps: batches(seed, 1)}, "batches are 1: expected one for each of 2"),
    "a batch that is a list": ({"batches": lambda seed, steps: [[1]] * steps}, "gave a list: expected a dict"),
    "a batch of lists": ({"batches": lambda seed, steps: [{"inputs": [1.0]}] * steps}, "gave inputs/#0 as float"),
    "no loss": ({"loss": lambda model, batch: None}, "loss"),
    "no output": ({"predict": lambda model, batch: None}, "predict"),
    "no run": ({"train": lambda *a, **k: None, "loops": ("stepped",)}, "loop stepped failed: TypeError"),
    "no losses": ({"train": lambda *a, **k: (None, (draw_parameters(0), {})), "loops": ("stepped",)}, "have shape ()"),
}


@pytest.mark.parametrize("fault", FAULTS)
@both_sides
def test_what_cannot_be_used_is_named_in_one_line(framework: Framework, fault: str) -> None:
    parts, words = FAULTS[fault]
    with pytest.raises(NotCheckable) as told:
        check(planted(framework, **parts))
    assert f"the {framework} side's" in str(told.value)
    assert words in str(told.value)
    assert "\n" not in str(told.value)


def test_an_optimizer_that_raises_is_named() -> None:
    class Raising(torch.optim.Adam):
        step = boom

    with pytest.raises(NotCheckable, match="the torch side's optimizer failed: ValueError: boom"):
        check(planted("torch", optimizer=lambda parameters: Raising(parameters)))
    with pytest.raises(NotCheckable, match="the jax side's optimizer failed: ValueError: boom"):
        check(planted("jax", optimizer=lambda: optax.GradientTransformation(boom, boom)))
    with pytest.raises(NotCheckable, match="the jax side's update failed: ValueError: boom"):
        check(planted("jax", optimizer=lambda: optax.GradientTransformation(lambda p: (), boom)))
