"""What a worker tells of a run: what stands between the two readings of the clock, the kernels, and what was wrong."""

from __future__ import annotations

import gc
from collections.abc import Callable, Sequence
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

import benchmarks.worker
from benchmarks.case import Case
from benchmarks.jax_side import machine as jax_machine
from benchmarks.prepared import Outcome, Prepared
from benchmarks.torch_side import machine as torch_machine
from benchmarks.variants import by_full_name
from benchmarks.worker import Worker
from parity.recording import State

CASE = Case("mlp", steps=12)
SIDES = pytest.mark.parametrize(
    ("machine", "name"), [(torch_machine, "torch stepped"), (jax_machine, "jax stepped")], ids=["torch", "jax"]
)


class Hours:
    """A clock that only work moves: what was done, in its order, and whether memory was collected meanwhile."""

    def __init__(self) -> None:
        self.now = 0.0
        self.done: list[tuple[str, bool]] = []

    def takes(self, seconds: float, what: str, result: Any = None) -> Any:
        """Work of so many seconds, and what it gives."""
        self.done.append((what, gc.isenabled()))
        self.now += seconds
        return result


@SIDES
def test_the_clock_runs_from_submission_to_the_end_and_over_nothing_else(
    machine: ModuleType, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    hours = Hours()
    monkeypatch.setattr(benchmarks.worker, "time", SimpleNamespace(perf_counter=lambda: hours.now))
    waiting = {"placed": 100.0, "result": 10.0}
    monkeypatch.setattr(machine, "wait", lambda found, _: hours.takes(waiting[found], f"waits for {found}"))
    monkeypatch.setattr(machine, "settled", lambda found, _: hours.takes(1e4, f"asks after {found}", True))
    prepared = Prepared(
        place=lambda: hours.takes(1000.0, "places", "placed"),
        run=lambda placed: hours.takes(1.0, f"runs {placed}", "result"),
        read=lambda _: [],
    )
    found = Worker(CASE, by_full_name(name), prepared).run()
    assert found == {"seconds": 11.0, "settled": True}
    assert hours.done == [
        ("places", True), ("waits for placed", True),
        ("runs placed", False), ("waits for result", False), ("asks after result", False),
    ]  # fmt: skip
    assert gc.isenabled()


@pytest.mark.gpu
def test_on_a_gpu_a_clock_that_does_not_wait_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    factor = torch.ones(8192, 8192, device="cuda")

    def submit(_: Any) -> torch.Tensor:
        for _ in range(20):
            result = factor @ factor
        return result

    one = Worker(Case("mnist", device="gpu"), by_full_name("torch stepped"))
    one.prepared = Prepared(lambda: factor, submit, lambda _: [])
    assert one.run()["settled"]
    monkeypatch.setattr(torch_machine, "wait", lambda result, device: None)
    assert not one.run()["settled"]
    torch.cuda.synchronize()


@SIDES
def test_kernels_are_told_of_a_step_and_counted_of_a_run(
    machine: ModuleType, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = Worker(CASE, by_full_name(name))
    one.start()
    monkeypatch.setattr(machine, "kernels", lambda run, device: 30)
    assert one.describe()["kernels_per_step"] == 2.5


def outcome(steps: int = CASE.steps) -> Outcome:
    return Outcome(np.ones(steps), State({}, {"step": np.array(steps)}))


@pytest.mark.parametrize(
    ("outcomes", "reason"),
    [
        ([outcome(), outcome()], "2 runs came back, expected 1"),
        ([outcome(11)], "the timed run has losses of shape (11,), expected (12,)"),
        ([Outcome(np.full(12, np.nan), State({}, {}))], "the timed run has a loss that is not finite"),
        ([outcome()._replace(state=outcome(11).state)], "the timed run took 11 steps, expected 12"),
    ],
    ids=["seeds", "losses", "not finite", "steps"],
)
def test_what_was_wrong_with_the_timed_run_is_wrong_in_its_check(
    outcomes: Sequence[Outcome], reason: str, judge_of: Callable[[Case], Path]
) -> None:
    """Driven anew, the variant is right."""
    found = Worker(CASE, by_full_name("torch stepped"), outcomes=outcomes).check(judge_of(CASE))
    assert (found["outcome"], found["reason"]) == ("wrong", reason)
