"""A pair with an optimizer on each side: the option that is otherwise is named, and what is the same agrees."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import optax
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from parity import check
from parity.golden.check import check_against, write_golden
from parity.pair.optimizers import Optimizer
from parity.recording import Framework
from parity_tests.parity.jax_side.optimizer.test_translated import any_case
from parity_tests.parity.optimizers.beside import apart
from parity_tests.parity.optimizers.cases import CASES, Case
from parity_tests.parity.optimizers.changes import CHANGES, Change, named
from parity_tests.parity.optimizers.paired import RATE, beside, changed, said, translated
from parity_tests.parity.optimizers.recorded import ran
from parity_tests.parity.optimizers.stock import STOCK, Stock
from parity_tests.parity.optimizers.stock import said as said_of_stock

pytestmark = pytest.mark.usefixtures("compiled_once")
QUICK = ("AdamW: weight_decay", "NAdam", "Adagrad", "of Optax: Adamax")
SEEN, UNSEEN = 1e-9, 1e-13
"""A difference that a check must see, and one that it must not; between the two it may do either."""


def rows(all_of_them: Iterable[Any]) -> Iterator[Any]:
    for one in all_of_them:
        if isinstance(one, Stock):
            name = f"of Optax: {one.case.name}"
        else:
            name = f"{one.case}: {one.option}" if isinstance(one, Change) else one.name
        yield pytest.param(one, id=name, marks=() if name in QUICK else pytest.mark.slow)


@pytest.mark.parametrize("change", list(rows(CHANGES)))
def test_the_smallest_change_of_every_option_is_caught_and_named(change: Change) -> None:
    first = said(change)
    assert first.split(", ")[0] in ("update", "trajectory")
    assert named(change) in first


@pytest.mark.parametrize("case", list(rows(CASES)))
def test_every_row_agrees_in_both_dtypes(case: Case) -> None:
    verdict = check(translated(case, RATE), loops=())
    assert verdict.outcome == "agree", verdict.first_difference or [stage.reason for stage in verdict.stages]


@pytest.mark.slow
@pytest.mark.parametrize("stock", [one for one in STOCK if one.form], ids=lambda stock: stock.case.name)
def test_what_is_otherwise_in_a_form_of_optax_is_named(stock: Stock) -> None:
    assert stock.form in said_of_stock(stock)


@pytest.mark.slow
def test_what_is_nearly_a_form_is_not_taken_for_it() -> None:
    # A thousandth of epsilon, which is a thousandth of the difference: rounding leaves 2e-6 of it.
    (stock,) = (one for one in STOCK if one.case.name == "RAdam")
    nearly = said_of_stock(stock._replace(make=lambda: optax.radam(RATE, eps=1.001e-8)))
    assert nearly
    assert stock.form not in nearly


@pytest.mark.parametrize("stock", list(rows(one for one in STOCK if not one.why)))
def test_what_of_optax_is_the_same_agrees_in_both_dtypes(stock: Stock) -> None:
    verdict = check(beside(stock.case, RATE, stock.make, 4), loops=())
    assert verdict.outcome == "agree", verdict.first_difference or [stage.reason for stage in verdict.stages]


@pytest.mark.slow
@pytest.mark.parametrize("side", ["torch", "jax"])
@pytest.mark.parametrize("kind", ["Adamax", "Adadelta"])
def test_what_of_optax_is_the_same_agrees_with_a_recording(tmp_path: Path, kind: str, side: Framework) -> None:
    (stock,) = (one for one in STOCK if one.case.name == kind)
    pair = beside(stock.case, RATE, stock.make, 4)
    write_golden(pair, side, tmp_path / "it.parity", loops=())
    assert check_against(pair, tmp_path / "it.parity", loops=()).outcome == "agree"


LATE = partial(torch.optim.lr_scheduler.StepLR, step_size=100)
"""A schedule that a short run does not see."""
RMS, ADAMAX = Case("RMSprop", "RMSprop"), Case("Adamax", "Adamax")
CENTRED, MOMENTUM = Case("centred", "RMSprop", {"centered": True}), Case("momentum", "RMSprop", {"momentum": 0.9})
SCHEDULED = Case("scheduled", "RMSprop", scheduler=LATE)
rmsprop = partial(optax.rmsprop, RATE, decay=0.99, eps_in_sqrt=False)


class Own(NamedTuple):
    own: Any


def under_another_name() -> optax.GradientTransformation:
    """RMSprop whose memory nobody knows by its name."""
    inner = rmsprop()

    def init(parameters: Any) -> Any:
        first, *others = inner.init(parameters)
        return (Own(first.nu), *others)

    def update(gradients: Any, state: Any, parameters: Any = None) -> Any:
        first, *others = state
        changes, (first, *others) = inner.update(gradients, (optax.ScaleByRmsState(first.own), *others), parameters)
        return changes, (Own(first.nu), *others)

    return optax.GradientTransformation(init, update)


PLANTED: dict[str, tuple[Case, Callable[[], optax.GradientTransformation], str]] = {
    "epsilon": (RMS, partial(rmsprop, eps=2e-8), "RMSprop: eps 2e-08 on the jax side"),
    "decay": (RMS, partial(rmsprop, decay=0.98), "RMSprop: alpha 0.98 on the jax side"),
    "start": (RMS, partial(rmsprop, initial_scale=1e-6), "update, step 0, tensor inner."),
    "rho": (Case("Adadelta", "Adadelta"), lambda: optax.adadelta(RATE, 0.91), "Adadelta: rho 0.91 on the jax side"),
    "beta": (ADAMAX, lambda: optax.adamax(RATE, b2=0.9), "Adamax: betas[1] 0.9 on the jax side"),
    "Adamax's epsilon": (ADAMAX, lambda: optax.adamax(RATE, eps=1e-6), "Adamax: eps 1e-06 on the jax side"),
    "Adam for Adamax": (ADAMAX, lambda: optax.adam(RATE), "update, step 0, tensor exp_inf."),
    "Adamax for Adam": (Case("Adam", "Adam"), lambda: optax.adamax(RATE), "update, step 0, tensor exp_avg_sq."),
    "accumulator": (Case("Adagrad", "Adagrad"), lambda: optax.adagrad(RATE, eps=1e-10), "update, step 0, tensor inner"),
    "no memory": (RMS, lambda: optax.sgd(RATE), "optimizer: SGD on the jax side, RMSprop on the torch side"),
    "not centred": (CENTRED, rmsprop, "RMSprop: centered False on the jax side"),
    "buffer": (
        MOMENTUM,
        partial(rmsprop, momentum=0.9),
        "tensor momentum_buffer.inner.weight, float64: difference 1, ",
    ),
    "no schedule yet": (SCHEDULED, rmsprop, "update, step 0, tensor step, float64: missing on the jax side"),
    "missing": (RMS, under_another_name, "tensor square_avg.inner.weight, float64: missing on the jax side"),
}


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=() if name == "rho" else pytest.mark.slow) for name in PLANTED]
)
def test_what_of_optax_is_not_the_same_is_seen(name: str) -> None:
    case, make, expected = PLANTED[name]
    first = check(beside(case, RATE, make, 4), dtypes=("float64",), loops=()).first_difference
    assert expected in str(first)


def expect_the_same_of_any(case: Case) -> None:
    verdict = check(translated(case, RATE, steps=4), loops=())
    assert verdict.outcome != "differ", verdict.first_difference
    # Steps as small as Adadelta's first ones are not told from none in float32, which is said.
    doubtful = [stage.reason for stage in verdict.stages if stage.outcome != "agree"]
    assert all(reason.startswith("no power in float32: the wrong answer 'not applied'") for reason in doubtful)


@settings(max_examples=1)
@given(any_case())
def test_no_combination_is_a_false_alarm(case: Case) -> None:
    expect_the_same_of_any(case)


@pytest.mark.slow
@settings(max_examples=40)
@given(any_case())
def test_no_combination_is_a_false_alarm_at_length(case: Case) -> None:
    expect_the_same_of_any(case)


@st.composite
def otherwise(draw: st.DrawFn) -> tuple[Case, str, float]:
    """A case, one of its options that is a number, and another value of that."""
    case = draw(any_case())
    names = sorted(name for name, value in case.options.items() if isinstance(value, float) and name != "dampening")
    return case, draw(st.sampled_from(["lr", *names])), draw(st.sampled_from([1e-6, 0.013, 0.2, 0.6]))


def expect_it_to_be_seen(case: Case, option: str, value: float) -> None:
    def change(read: Optimizer) -> Optimizer:
        groups = tuple(group._replace(options={**group.options, option: value}) for group in read.groups)
        return replace(read, groups=groups, state={})

    there = ran(case, RATE, change, 4)
    sides = [[side.of("trajectory", step) for step in range(4)] for side in (there.torch, there.jax)]
    held = [[{name: arrays[name] for name in there.torch.of("init", 0)} for arrays in side] for side in sides]
    far = apart(*held)
    assume(not UNSEEN < far < SEEN)
    verdict = check(changed(case, RATE, change, steps=4), dtypes=("float64",), loops=())
    assert far < UNSEEN or verdict.outcome == "differ"


@settings(max_examples=1)
@given(otherwise())
def test_no_difference_is_silent(drawn: tuple[Case, str, float]) -> None:
    expect_it_to_be_seen(*drawn)


@pytest.mark.slow
@settings(max_examples=40)
@given(otherwise())
def test_no_difference_is_silent_at_length(drawn: tuple[Case, str, float]) -> None:
    expect_it_to_be_seen(*drawn)
