"""What the search for an option is given, and where there is none: of what is right, or not of two optimizers."""

from __future__ import annotations

import sys
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import optax
import pytest
import torch

from parity import check
from parity.judging.distance.difference import Scales
from parity.judging.hints.evidence import Hint
from parity.judging.hints.optimizer import options
from parity.judging.hints.optimizer.ran import Ran
from parity.judging.passes.judge import Lockstep
from parity.judging.unseen.layers import Unshown
from parity.recording import Key, Recording
from parity.verdict import Comparison
from parity_tests.parity.optimizers.cases import CASES
from parity_tests.parity.optimizers.paired import beside, changed
from parity_tests.parity.tiny import tiny

pytestmark = pytest.mark.usefixtures("compiled_quickly")
ADAM = next(case for case in CASES if case.name == "Adam")
FIRST = Comparison(Key("update", 1, "inner.bias"), "float64", None, None, 1e-3, 1e-12, None, "differ", "")


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[Ran]:
    """Everything that is asked of the search, which then says that it found something."""
    found: list[Ran] = []

    def of_optimizer(ran: Ran, steps: int) -> Hint:
        found.append(ran)
        return Hint("found", 0.0)

    monkeypatch.setattr(options, "of_optimizer", of_optimizer)
    return found


def findings(**others: Any) -> Any:
    sides = {
        side: Recording(SimpleNamespace(framework=side), {("init", 0): {"a": np.zeros(1)}})  # type: ignore[arg-type]
        for side in ("torch", "jax")
    }
    given = {
        "recordings": {"float64": sides}, "lockstep": Lockstep([]), "judging": "torch", "judge": sides["torch"],
        "frozen": frozenset(), "pair": tiny(), "scales": Scales({}, frozenset()), "unshown": Unshown(),
    }  # fmt: skip
    return SimpleNamespace(**(given | others))


def test_the_steps_begin_from_the_jax_sides_own_states(asked: list[Ran]) -> None:
    there = findings()
    assert options.option_in_words(there, FIRST) == "found (explains it exactly)"
    assert asked[0].begins is asked[0].jax is there.recordings["float64"]["jax"]
    assert (asked[0].same, asked[0].read.kind) == (1, "Adam")


def test_in_lockstep_they_begin_from_the_judges(asked: list[Ran]) -> None:
    run = Recording(SimpleNamespace(framework="jax"), {})  # type: ignore[arg-type]
    there = findings(lockstep=Lockstep([], frozenset([FIRST.key]), run))
    options.option_in_words(there, FIRST)
    assert asked[0].begins is there.judge
    assert asked[0].jax is run


def test_what_is_frozen_is_left_out(asked: list[Ran]) -> None:
    options.option_in_words(findings(frozen=frozenset(["inner.bias"])), FIRST)
    assert asked[0].read.groups[0].parameters == ("inner.weight", "outer.weight", "outer.bias")
    assert "inner.bias" not in asked[0].read.shapes


@pytest.mark.parametrize(
    "first",
    [
        replace(FIRST, key=Key("backward", 0, "inner.bias")),
        replace(FIRST, key=Key("trajectory", 0, "gradient.inner.bias")),
        replace(FIRST, key=Key("trajectory", 0, "loss")),
        replace(FIRST, dtype="float32"),
        replace(FIRST, loop="jax whole_run"),
    ],
    ids=lambda first: f"{first.key}, {first.dtype}, {first.loop}",
)
def test_nothing_is_asked_of_what_no_optimizer_did(asked: list[Ran], first: Comparison) -> None:
    assert options.option_in_words(findings(), first) == ""
    assert not asked


def test_nothing_is_asked_where_a_side_has_no_optimizer_or_no_translation(asked: list[Ran]) -> None:
    averaged = tiny(torch={"optimizer": torch.optim.ASGD})
    by_hand = tiny(torch={"optimizer": None, "update": lambda model, gradients: model})
    for pair in (tiny(jax={"optimizer": None}), by_hand, averaged):
        assert options.option_in_words(findings(pair=pair), FIRST) == ""
    assert not asked


def test_nothing_is_asked_without_jax_or_of_two_recordings_of_one_framework(
    asked: list[Ran], monkeypatch: pytest.MonkeyPatch
) -> None:
    torchs = findings().recordings["float64"]["torch"]
    assert options.option_in_words(findings(recordings={"float64": {"torch": torchs, "jax": torchs}}), FIRST) == ""
    monkeypatch.delattr("parity.jax_side.optimizer.steps", raising=False)
    monkeypatch.setitem(sys.modules, "parity.jax_side.optimizer.steps", None)
    assert options.option_in_words(findings(), FIRST) == ""
    assert not asked


def test_where_the_jax_side_counts_no_steps_that_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(options, "of_optimizer", lambda ran, steps: None)
    step = replace(FIRST, key=Key("update", 0, "step"))
    there = findings()
    assert options.option_in_words(there, step) == options.UNCOUNTED
    there.recordings["float64"]["jax"].add("update", 0, {"step": np.array(1)})
    assert options.option_in_words(there, step) == ""
    assert options.option_in_words(there, FIRST) == ""


def test_a_right_pair_is_not_asked(asked: list[Ran]) -> None:
    assert check(changed(ADAM, 0.01, lambda read: read, 2), dtypes=("float64",), loops=()).outcome == "agree"
    assert not asked


def test_where_no_option_explains_it_the_other_hints_stay() -> None:
    verdict = check(beside(ADAM, 0.01, lambda: optax.chain(optax.adam(0.01), optax.scale(-1.0)), 2), loops=())
    assert "lr -0.01 on the jax side" in str(verdict.first_difference)
    averaged = tiny(torch={"optimizer": lambda parameters: torch.optim.ASGD(parameters, lr=0.03, lambd=0.0, t0=9)},
                    jax={"optimizer": lambda: optax.sgd(0.06)})  # fmt: skip
    assert "on the jax side it is " in str(check(averaged, dtypes=("float64",), loops=()).first_difference)
