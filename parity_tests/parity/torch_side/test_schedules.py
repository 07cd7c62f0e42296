"""Schedulers are read where they follow a closed form, and refused with the reason where they do not."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from functools import partial
from typing import Any, cast

import numpy as np
import pytest
import torch
from torch.optim import lr_scheduler

from parity import NotCheckable, read_torch_optimizer, write_torch_optimizer
from parity.pair.optimizers import Optimizer
from parity.torch_side.schedules import last_turn, turned


class Mine(lr_scheduler.StepLR):
    pass


def in_a_row(optimizer: Any) -> lr_scheduler.SequentialLR:
    behind = lr_scheduler.MultiStepLR(optimizer, [3, 5])
    return lr_scheduler.SequentialLR(optimizer, [lr_scheduler.LinearLR(optimizer), behind], [4])


def warmed_up(optimizer: Any) -> lr_scheduler.SequentialLR:
    behind = lr_scheduler.ExponentialLR(optimizer, 0.9)
    return lr_scheduler.SequentialLR(optimizer, [lr_scheduler.LinearLR(optimizer), behind], [4])


def at_once(optimizer: Any) -> lr_scheduler.ChainedScheduler:
    return lr_scheduler.ChainedScheduler([lr_scheduler.StepLR(optimizer, 7), lr_scheduler.ConstantLR(optimizer)])


TURNS: list[tuple[Callable[[Any], Any], int]] = [
    (partial(lr_scheduler.StepLR, step_size=7), 7),
    (partial(lr_scheduler.MultiStepLR, milestones=[3, 9, 4]), 9),
    (partial(lr_scheduler.LinearLR, total_iters=6), 7),
    (partial(lr_scheduler.CosineAnnealingWarmRestarts, T_0=8), 8),
    (partial(lr_scheduler.CyclicLR, base_lr=0.1, max_lr=1.0, step_size_up=4), 9),
    (partial(lr_scheduler.OneCycleLR, max_lr=1.0, total_steps=10, pct_start=0.3), 3),
    (in_a_row, 9),
    (at_once, 7),
    (warmed_up, 5),
    (partial(Mine, step_size=7), 0),
    (partial(lr_scheduler.CosineAnnealingLR, T_max=8), 0),
    (partial(lr_scheduler.LambdaLR, lr_lambda=lambda _: 1.0), 0),
]


@pytest.mark.parametrize(("made", "turn"), TURNS, ids=[str(index) for index in range(len(TURNS))])
def test_the_last_rule_of_a_scheduler_shows_after_so_many_steps(made: Callable[[Any], Any], turn: int) -> None:
    scheduler = made(torch.optim.SGD([torch.ones(1, requires_grad=True)], lr=0.1, momentum=0.9))
    assert last_turn(scheduler) == turn


def only_in_training(count: int) -> float:
    return [0.25, 0.5, 0.75, 1.0][count]


FUNCTIONS: dict[str, tuple[Callable[[int], float], int | None]] = {
    "a warm-up": (lambda count: min(1.0, (count + 1) / 4), 4),
    "a drop long after": (lambda count: 1.0 if count < 1000 else 0.1, None),
    "a cosine": (lambda count: math.cos(count / 100), 2),
    "one line": (lambda count: 1.0 - 1e-3 * count, 0),
    "no rate behind the training": (only_in_training, 0),
}


@pytest.mark.parametrize("case", FUNCTIONS)
def test_a_function_has_gone_over_to_another_rule_where_its_factors_have_left_a_line(case: str) -> None:
    function, turn = FUNCTIONS[case]
    scheduler = lr_scheduler.LambdaLR(torch.optim.SGD([torch.ones(1, requires_grad=True)], lr=0.1), function)
    found = []
    for scheduler.last_epoch in range(5):
        found.append(turned(scheduler))
    assert found == [turn is not None and count >= turn for count in range(5)]


REFUSED: dict[str, tuple[Callable[[Any], Any], str]] = {
    "a function for nobody knows how long": (
        partial(lr_scheduler.LambdaLR, lr_lambda=lambda _: 1.0),
        "LambdaLR: its rate is a Python function, of which a table is made: say for how many `steps`",
    ),
    "a function in a sequence": (
        lambda optimizer: lr_scheduler.SequentialLR(
            optimizer,
            [lr_scheduler.LambdaLR(optimizer, lambda _: 1.0), lr_scheduler.StepLR(optimizer, 1)],
            milestones=[2],
        ),
        "SequentialLR: LambdaLR in a sequence is not translated: have its function do all of it",
    ),
    "a product in a chain": (
        lambda optimizer: lr_scheduler.ChainedScheduler([lr_scheduler.MultiplicativeLR(optimizer, lambda _: 1.0)]),
        "ChainedScheduler: MultiplicativeLR in a chain is not translated",
    ),
    "ReduceLROnPlateau": (lr_scheduler.ReduceLROnPlateau, "ReduceLROnPlateau is not translated: its rate depends on t"),
    "CyclicLR": (
        partial(lr_scheduler.CyclicLR, base_lr=0.1, max_lr=1.0, scale_fn=lambda cycle: 1 / cycle),
        "CyclicLR: its scale_fn is a Python function",
    ),
    "a cycle of half a step": (
        partial(lr_scheduler.CyclicLR, base_lr=0.1, max_lr=1.0, step_size_up=cast(Any, 2.5)),
        r"CyclicLR: step_size_\w+ is 2\.5: torch keeps to",
    ),
    "a chain with a cosine": (
        lambda optimizer: lr_scheduler.ChainedScheduler(
            [lr_scheduler.StepLR(optimizer, 1), lr_scheduler.CosineAnnealingLR(optimizer, 9)]
        ),
        "ChainedScheduler: CosineAnnealingLR in a chain is not translated: its next rate depends on",
    ),
    "one cycle of several": (
        lambda optimizer: lr_scheduler.SequentialLR(
            optimizer,
            [lr_scheduler.StepLR(optimizer, 1), lr_scheduler.OneCycleLR(optimizer, 1.0, total_steps=9)],
            milestones=[2],
        ),
        "SequentialLR: OneCycleLR in a sequence is not translated: torch begins it in another way",
    ),
    "a subclass": (partial(Mine, step_size=1), "Mine is not a class of torch.optim.lr_scheduler"),
    "no constant": (
        partial(lr_scheduler.ConstantLR, total_iters=0),
        "ConstantLR: total_iters is 0: torch keeps to",
    ),
    "half a step": (partial(lr_scheduler.ConstantLR, total_iters=cast(Any, 2.5)), "ConstantLR: total_iters is 2.5"),
    "half a milestone": (
        partial(lr_scheduler.MultiStepLR, milestones=cast(Any, [2.5])),
        "MultiStepLR: milestones is 2.5",
    ),
}


def made() -> tuple[dict[str, torch.Tensor], torch.optim.Optimizer]:
    parameters = {"a": torch.ones(2, requires_grad=True)}
    return parameters, torch.optim.SGD(parameters.values(), lr=1.0, momentum=0.9)


def step(parameters: dict[str, torch.Tensor], optimizer: torch.optim.Optimizer) -> None:
    parameters["a"].grad = torch.ones(2)
    optimizer.step()


def read(make: Callable[[Any], Any]) -> Optimizer:
    parameters, optimizer = made()
    return read_torch_optimizer(optimizer, parameters, make(optimizer))


@pytest.mark.parametrize(("make", "reason"), REFUSED.values(), ids=REFUSED)
def test_what_has_no_closed_form_is_refused(make: Callable[[Any], Any], reason: str) -> None:
    with pytest.raises(NotCheckable, match=reason):
        read(make)


def test_a_function_becomes_a_table_of_the_training() -> None:
    functions = {"LambdaLR": lambda count: 1 / (1 + count), "MultiplicativeLR": lambda count: 1 / (1 + count)}
    found = {}
    for kind, function in functions.items():
        parameters, optimizer = made()
        scheduler = getattr(lr_scheduler, kind)(optimizer, function)
        (group,) = read_torch_optimizer(optimizer, parameters, scheduler, steps=3).groups
        found[kind] = group.options["factors"]
    # The product begins with what the function gives for 1.
    assert found == {"LambdaLR": (1, 1 / 2, 1 / 3, 1 / 4), "MultiplicativeLR": (1, 1 / 2, 1 / 2 / 3, 1 / 2 / 3 / 4)}


def test_a_function_that_fails_for_a_later_step_is_told() -> None:
    parameters, optimizer = made()
    scheduler = lr_scheduler.LambdaLR(optimizer, [1.0, 0.5].__getitem__)
    with pytest.raises(NotCheckable, match="LambdaLR: its function fails for 2: IndexError: list index out of range"):
        read_torch_optimizer(optimizer, parameters, scheduler, steps=4)


class Counted:
    """A function that goes by how often it was called."""

    def __init__(self) -> None:
        self.calls = 0

    def __call__(self, count: int) -> float:
        self.calls += 1
        return 1 / self.calls


@pytest.mark.parametrize("kind", ["LambdaLR", "MultiplicativeLR"])
def test_a_function_that_counts_its_calls_is_refused(kind: str) -> None:
    parameters, optimizer = made()
    scheduler = getattr(lr_scheduler, kind)(optimizer, Counted())
    with pytest.raises(
        NotCheckable, match=f"{kind}: its function gives another number for [01] when it is asked again"
    ):
        read_torch_optimizer(optimizer, parameters, scheduler, steps=3)


@pytest.mark.parametrize("number", [torch.tensor(0.7), np.float32(0.7)], ids=["a tensor", "NumPy's"])
def test_a_function_that_makes_the_rate_in_float32_is_refused(number: Any) -> None:
    parameters, optimizer = made()
    scheduler = lr_scheduler.LambdaLR(optimizer, lambda _: number)
    with pytest.raises(NotCheckable, match=r"for 0, with which torch computes the rate in lower precision .* float\("):
        read_torch_optimizer(optimizer, parameters, scheduler, steps=3)


@pytest.mark.parametrize("number", [1, torch.tensor(0.7, dtype=torch.float64), np.float64(0.7)])
def test_a_function_may_give_any_number_that_makes_the_rate_in_float64(number: Any) -> None:
    parameters, optimizer = made()
    (group,) = read_torch_optimizer(
        optimizer, parameters, lr_scheduler.LambdaLR(optimizer, lambda _: number), steps=1
    ).groups
    assert group.options["factors"] == (number, number)


def test_the_state_of_an_optimizer_with_another_function_is_refused() -> None:
    parameters, optimizer = made()
    there = read_torch_optimizer(optimizer, parameters, lr_scheduler.LambdaLR(optimizer, lambda _: 1.0), steps=3)
    copies, fresh = made()
    with pytest.raises(NotCheckable, match="the state is of another optimizer: SGD: other factors of the rate"):
        write_torch_optimizer(there, fresh, copies, lr_scheduler.LambdaLR(fresh, lambda count: 1.0 - count / 9))


def test_the_scheduler_of_another_optimizer_is_refused() -> None:
    with pytest.raises(NotCheckable, match="StepLR belongs to another optimizer"):
        read(lambda _: lr_scheduler.StepLR(made()[1], 1))


@pytest.mark.parametrize(
    "make",
    [
        partial(lr_scheduler.ExponentialLR, gamma=0.5),
        partial(lr_scheduler.LambdaLR, lr_lambda=lambda count: 1 / (1 + count)),
        partial(lr_scheduler.MultiplicativeLR, lr_lambda=lambda _: 0.5),
    ],
)
def test_a_rate_that_somebody_else_changes_is_refused(make: Callable[[Any], Any]) -> None:
    parameters, optimizer = made()
    scheduler = make(optimizer)
    optimizer.param_groups[0]["lr"] = 0.3
    with pytest.raises(NotCheckable, match=r"LR: the rate is 0\.3 and by its closed form 1: somebody else"):
        read_torch_optimizer(optimizer, parameters, scheduler, steps=3)


def test_a_scheduler_that_is_stepped_by_the_epoch_is_refused() -> None:
    parameters = {"a": torch.ones(2, requires_grad=True)}
    optimizer = torch.optim.Adam(parameters.values())
    scheduler = lr_scheduler.StepLR(optimizer, 1)
    for _ in range(3):
        step(parameters, optimizer)
    scheduler.step()
    with pytest.raises(NotCheckable, match="StepLR has been stepped 1 times and Adam 3 times: a schedule of Optax"):
        read_torch_optimizer(optimizer, parameters, scheduler)


def test_a_scheduler_is_moved_on_without_a_warning_and_only_once() -> None:
    parameters, optimizer = made()
    scheduler = lr_scheduler.StepLR(optimizer, 2, 0.5)
    for _ in range(5):
        step(parameters, optimizer)
        scheduler.step()
    there = read_torch_optimizer(optimizer, parameters, scheduler)
    copies, fresh = made()
    moved = lr_scheduler.StepLR(fresh, 2, 0.5)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        write_torch_optimizer(there, fresh, copies, moved)
    assert (moved.last_epoch, fresh.param_groups[0]["lr"]) == (5, 0.25)
    with pytest.raises(NotCheckable, match="StepLR has already been stepped: make a new one"):
        write_torch_optimizer(there, fresh, copies, moved)
