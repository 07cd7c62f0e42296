"""The run that was timed: mistakes that a variant driven anew does not make are seen in it."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
import numpy as np
import pytest
import torch

from benchmarks import timed
from benchmarks.case import Case
from benchmarks.jax_side import machine as jax_machine
from benchmarks.jax_side import variants as jax_variants
from benchmarks.judge import Judge
from benchmarks.prepared import Outcome, Prepared
from benchmarks.torch_side import machine as torch_machine
from benchmarks.torch_side import variants as torch_variants
from benchmarks.variants import by_full_name
from benchmarks.worker import Worker
from parity.recording import State
from parity_tests.benchmarks.test_worker import plant
from torchnet.loops import take_step

SIDES = {"torch": torch_variants, "jax": jax_variants}
MNIST = Case("mnist", steps=12, batch_size=60)
LINE = Case("line_fit", steps=12)
SEVERAL = Case("mlp", steps=12, seeds=3)
Make = Callable[[Any], Prepared]


def after_runs(case: Case, name: str, judge_of: Callable[[Case], Any]) -> dict[str, Any]:
    """What the check finds after two runs."""
    one = Worker(case, by_full_name(name))
    one.start()
    one.run()
    one.describe()
    return one.check(judge_of(case))


@pytest.mark.parametrize(
    ("case", "name"),
    [
        (MNIST, "torch stepped"), (MNIST, "jax whole_run"), (LINE, "torch notebook"),
        (SEVERAL, "torch many_seeds"), (SEVERAL, "jax many_seeds"),
        (Case("line_fit", steps=12, seeds=3), "jax many_seeds"),
        (dataclasses.replace(MNIST, precision="bfloat16"), "jax whole_run"),
    ],
    ids=lambda given: given if isinstance(given, str) else given.name,
)  # fmt: skip
def test_a_run_that_was_right_is(case: Case, name: str, judge_of: Callable[[Case], Any]) -> None:
    found = after_runs(case, name, judge_of)
    assert (found["outcome"], found["reason"]) == ("right", "")


def goes_on(make: Make) -> Make:
    """The second run begins where the first has ended, as a graph does whose start is not put back."""

    def prepare(setup: Any) -> Prepared:
        made = make(setup)
        ended: list[Any] = []

        def place() -> Any:
            return ended[-1] if ended else made.place()

        def run(placed: Any) -> Any:
            done = made.run(placed)
            # torch's stepped gives model, optimizer and losses; jax's whole_run the carry and losses.
            ended.append(done[:2] if len(done) == 3 else jax.tree.map(lambda leaf: leaf.copy(), done[0]))
            return done

        return Prepared(place, run, made.read)

    return prepare


def keeps_the_first(make: Make) -> Make:
    """Every run but the first hands out what that one has found, and takes no step."""

    def prepare(setup: Any) -> Prepared:
        made = make(setup)
        found: list[Any] = []

        def run(placed: Any) -> Any:
            if not found:
                found.append(made.run(placed))
            return found[0]

        return made._replace(run=run)

    return prepare


@pytest.mark.parametrize("name", ["torch stepped", "torch notebook", "jax whole_run", "jax stepped", "jax nnx_jit"])
def test_a_result_that_was_kept_is_seen(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """In torch the losses are not finite; JAX's arrays cannot be waited for any more."""
    framework, variant = name.split()
    plant(monkeypatch, SIDES[framework], variant, keeps_the_first(SIDES[framework].PREPARE[variant]))
    one = Worker(Case("mlp", steps=12), by_full_name(name))
    one.start()
    if framework == "torch":
        one.run()
        assert one.describe()["fault"] == "the timed run has a loss that is not finite"
    else:
        with pytest.raises(RuntimeError, match="deleted"):
            one.run()


@pytest.mark.parametrize(
    ("losses", "wrong"),
    [
        ([2.0, 1.0, 0.8, 0.6, 0.4, 0.4, 0.5], ""),
        # Once may be chance; and where the judge's are alike, these may be.
        ([2.0, 1.0, 0.8, 0.8, 0.4, 0.4, 0.5], ""),
        ([2.0, 1.0, 0.8, 0.8, 0.4, 0.5, 0.5], "step 3, loss: that of the step before, as 2 are: steps were left out"),
        ([2.0, 1.0, 0.8, 0.0, 0.0, 0.0, 0.0], "step 4, loss: that of the step before, as 2 are: steps were left out"),
        ([2.0, 1.0, 0.8, 0.80001, 0.4, 0.5, 0.50001], ""),
    ],
    ids=["right", "once", "every other", "never filled", "nearly"],
)
def test_steps_that_were_left_out_repeat_their_losses(losses: list[float], wrong: str) -> None:
    judged = Judge(np.array([2.0, 1.0, 0.8, 0.6, 0.4, 0.4, 0.5]), {}, {}, {}, {}, {}, {})
    found = timed.fault(judged, "bfloat16", [made(losses, 0)])
    assert found == (f"the timed run, {wrong}" if wrong else "")


def half_from_ten_on(make: Make) -> Make:
    """A timed run that leaves every odd step out from the tenth on, and counts it all the same."""

    def prepare(setup: Any) -> Prepared:
        made_ready = make(setup)
        if setup.how.count is not None or setup.how.dtype == "float64":
            return made_ready

        def run(placed: Any) -> Any:
            model, optimizer = placed
            losses: list[Any] = []
            for step in setup.how.indices:
                if step >= 10 and step % 2:
                    losses.append(losses[-1].clone())
                    for memory in optimizer.state.values():
                        memory["step"] += 1
                else:
                    model, loss = take_step(setup.problem, model, optimizer, setup.feeds[0].batch(step), setup.how)
                    losses.append(loss)
            return model, optimizer, losses

        return made_ready._replace(run=run)

    return prepare


def test_a_timed_run_that_leaves_steps_out_later_is_wrong(
    judge_of: Callable[[Case], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    plant(monkeypatch, torch_variants, "stepped", half_from_ten_on(torch_variants.PREPARE["stepped"]))
    found = after_runs(dataclasses.replace(MNIST, steps=16), "torch stepped", judge_of)
    assert found["outcome"] == "wrong"
    assert "step 11, loss: that of the step before, as 3 are: steps were left out" in found["reason"]


def one_batch(make: Make) -> Make:
    """A whole run whose every step is fed the first batch, as a graph is that keeps a row index."""

    def prepare(setup: Any) -> Prepared:
        if setup.how.count is not None or setup.how.dtype == "float64":
            return make(setup)
        feed = setup.feeds[0]
        return make(setup._replace(feeds=[feed._replace(rows=feed.rows[:1].repeat(len(feed.rows), 1))]))

    return prepare


@pytest.mark.parametrize(
    ("case", "name", "change", "reason"),
    [
        (MNIST, "torch stepped", goes_on, " took 24 steps, expected 12"),
        # The line fit counts no steps.
        (LINE, "torch stepped", goes_on, ", step 0, loss: "),
        (LINE, "jax whole_run", goes_on, ", step 0, loss: "),
        (MNIST, "torch stepped", one_batch, ", step 1, loss: "),
    ],
    ids=["counted", "torch goes on", "jax goes on", "one batch"],
)
def test_a_mistake_of_the_timed_run_alone_is_seen(
    case: Case, name: str, change: Callable[[Make], Make], reason: str, judge_of: Callable[[Case], Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    framework, variant = name.split()
    plant(monkeypatch, SIDES[framework], variant, change(SIDES[framework].PREPARE[variant]))
    found = after_runs(case, name, judge_of)
    assert found["outcome"] == "wrong"
    assert found["reason"].startswith(f"the timed run{reason}")


def test_a_profiler_that_fails_between_start_and_run_spoils_no_run_that_was_timed(
    judge_of: Callable[[Case], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As with a CUDA graph: to place the start anew writes over what the last run left."""
    make = torch_variants.PREPARE["stepped"]

    def in_place(setup: Any) -> Prepared:
        made = make(setup)
        held: list[Any] = []

        def place() -> Any:
            held.clear()
            return made.place()

        def run(placed: Any) -> Any:
            held.extend(made.run(placed))
            return held

        return Prepared(place, run, lambda done: made.read(tuple(done)))

    def fails(run: Any, device: str) -> int:
        raise RuntimeError("no CUPTI here")

    plant(monkeypatch, torch_variants, "stepped", in_place)
    monkeypatch.setattr(torch_machine, "kernels", fails)
    found = after_runs(MNIST, "torch stepped", judge_of)
    assert (found["outcome"], found["reason"]) == ("right", "")


def only_the_last_trained(make: Make) -> Make:
    return lambda setup: make(setup)._replace(read=lambda done: [make(setup).read(done)[-1]] * len(setup.states))


def fed_the_last_ones_batches(make: Make) -> Make:
    return lambda setup: make(setup._replace(feeds=[setup.feeds[-1]] * len(setup.feeds)))


def begun_with_the_last_ones_draws(make: Make) -> Make:
    return lambda setup: make(setup._replace(states=[setup.states[-1]] * len(setup.states)))


@pytest.mark.parametrize("name", ["torch many_seeds", "jax many_seeds"])
@pytest.mark.parametrize("change", [only_the_last_trained, fed_the_last_ones_batches, begun_with_the_last_ones_draws])
def test_one_seeds_part_in_anothers_place_is_wrong(
    name: str, change: Callable[[Make], Make], judge_of: Callable[[Case], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    framework, variant = name.split()
    plant(monkeypatch, SIDES[framework], variant, change(SIDES[framework].PREPARE[variant]))
    case = dataclasses.replace(MNIST, seeds=3)
    found = Worker(case, by_full_name(name)).check(judge_of(case))
    assert found["outcome"] == "wrong"
    assert found["reason"].startswith("float64, step ")


def made(losses: Any, weight: float) -> Outcome:
    return Outcome(np.asarray(losses, np.float32), State({"weight": np.full(2, weight)}, {}))


def test_seeds_that_end_alike_were_not_trained_apart() -> None:
    judged = Judge(np.array([2.0, 1.0]), {}, {}, {}, {}, {}, {})
    right = [made([2, 1], 0.1), made([2.5, 1.5], 0.2)]
    assert timed.fault(judged, "float32", right) == ""
    same = [right[0], right[1]._replace(losses=right[0].losses)]
    assert timed.fault(judged, "float32", same) == "the timed run has the same losses for two of its seeds"
    same = [right[0], right[1]._replace(state=right[0].state)]
    assert timed.fault(judged, "float32", same) == "the timed run has the same parameters for two of its seeds"


@pytest.mark.parametrize("precision", ["float32", "tf32", "bfloat16"])
def test_a_free_run_may_part_from_the_judge_as_rounding_grows_and_no_further(precision: str) -> None:
    limits = timed.allowed(precision, 100)
    assert limits.shape == (100,)
    assert limits[0] == timed.FIRST[precision]
    assert (np.diff(limits[1:]) >= 0).all()
    assert limits[-1] == 1
    judged = Judge(np.array([2.0, 1.0, 0.5]), {}, {}, {}, {}, {}, {})
    assert timed.fault(judged, precision, [made([2.0, 1.0, 0.5], 0)]) == ""
    for wrong in ([2.01, 1.0, 0.5], [2.0, 3.1, 0.5], [2.0, 1.0, float("nan")]):
        assert timed.fault(judged, precision, [made(wrong, 0)]).startswith("the timed run, step ")


def test_what_holds_no_array_is_no_result() -> None:
    hidden = [lambda: torch.ones(2), None, 3.0]
    assert not torch_machine.settled(hidden, "cpu")
    assert not jax_machine.settled(hidden, "cpu")
    assert torch_machine.settled([None, torch.ones(2)], "cpu")
    assert jax_machine.settled([None, jax.block_until_ready(jax.numpy.ones(2))], "cpu")  # type: ignore[no-untyped-call]
