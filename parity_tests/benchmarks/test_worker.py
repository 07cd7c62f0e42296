"""Right or not counted: variants that are right are, and each planted mistake is refused or flagged."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest
import torch

from benchmarks.case import Case
from benchmarks.jax_side import machine as jax_machine
from benchmarks.jax_side import problems as jax_problems
from benchmarks.jax_side import variants as jax_variants
from benchmarks.prepared import Prepared
from benchmarks.torch_side import machine as torch_machine
from benchmarks.torch_side import problems as torch_problems
from benchmarks.torch_side import variants as torch_variants
from benchmarks.torch_side.calls import called
from benchmarks.torch_side.padded import padded
from benchmarks.variants import by_full_name
from benchmarks.worker import Worker, wrong_precision
from parity.arrays.rounding import splitter

SMALL = {"line_fit": Case("line_fit", steps=12), "mlp": Case("mlp", steps=12)}
MNIST = Case("mnist", steps=12, batch_size=60)
SEVERAL = Case("mlp", steps=12, seeds=3)
BFLOAT16 = Case("mnist", "bfloat16", steps=12, batch_size=60)
CASES = {"line_fit": SMALL["line_fit"], "mlp": SMALL["mlp"], "mnist": MNIST, "bfloat16": BFLOAT16}


def worker(case: Case, name: str) -> Worker:
    return Worker(case, by_full_name(name))


RIGHT = [
    *(("mlp", name) for name in (
        "torch notebook", "torch stepped", "torch fused", "jax nnx_jit", "jax jit_state", "jax stepped",
        "jax ahead_of_time", "jax whole_run", "jax whole_run_unrolled", "jax whole_run_by_hand", "jax whole_run_flat",
        "jax whole_run_padded", "jax whole_run_turned",
    )),
    *(("line_fit", name) for name in ("torch notebook", "jax stepped", "jax ahead_of_time")),
    *(("bfloat16", name) for name in (
        "torch notebook", "torch stepped", "torch fused", "jax nnx_jit", "jax stepped", "jax whole_run",
    )),
    *(("mnist", name) for name in (
        "torch notebook", "torch fused", "jax nnx_jit", "jax whole_run_padded", "jax whole_run_turned",
    )),
]  # fmt: skip


@pytest.mark.parametrize(("problem", "name"), RIGHT)
def test_a_variant_does_what_the_judge_does(problem: str, name: str, judge_of: Callable[[Case], Path]) -> None:
    case = CASES[problem]
    found = worker(case, name).check(judge_of(case))
    assert (found["outcome"], found["reason"]) == ("right", "")
    assert found["float64"] <= 1
    assert found["timed"] <= 1
    assert found["power"] is None if problem in ("line_fit", "bfloat16") else found["power"] >= 2


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize("name", ["torch many_seeds", "jax many_seeds"])
def test_many_seeds_do_what_the_judge_does_with_one(
    name: str, precision: str, judge_of: Callable[[Case], Path]
) -> None:
    case = dataclasses.replace(SEVERAL, precision=precision)
    assert worker(case, name).check(judge_of(case))["outcome"] == "right"


@pytest.mark.parametrize(
    "name", [pytest.param("torch many_seeds_padded", marks=pytest.mark.compiled), "jax many_seeds_padded"]
)
def test_padded_they_do_too(name: str, judge_of: Callable[[Case], Path], monkeypatch: pytest.MonkeyPatch) -> None:
    # torch's needs a GPU for its graph; here its steps are called.
    monkeypatch.setitem(torch_variants.PREPARE, "many_seeds_padded", functools.partial(padded, drive=called))
    torch.compiler.reset()
    case = dataclasses.replace(MNIST, seeds=3)
    found = worker(case, name).check(judge_of(case))
    assert (found["outcome"], found["reason"]) == ("right", "")


@pytest.mark.compiled
@pytest.mark.parametrize(
    ("case", "name"),
    [
        (SMALL["mlp"], "torch compiled"), (MNIST, "torch compiled_padded"), (MNIST, "torch compiled_onednn"),
        (BFLOAT16, "torch compiled"), (SEVERAL, "torch many_seeds_compiled"),
        (dataclasses.replace(SEVERAL, precision="bfloat16"), "torch many_seeds_compiled"),
    ],
    ids=["one", "padded", "onednn", "bfloat16", "several", "several in bfloat16"],
)  # fmt: skip
def test_a_compiled_variant_does_too(case: Case, name: str, judge_of: Callable[[Case], Path]) -> None:
    # A variant has a process of its own; here, they would share the compiler's count of programs for one function.
    torch.compiler.reset()
    assert worker(case, name).check(judge_of(case))["outcome"] == "right"


# Planted mistakes


def plant(monkeypatch: pytest.MonkeyPatch, side: Any, name: str, change: Callable[[Any], Prepared]) -> None:
    """Have the variant of this name made by `change`."""
    monkeypatch.setitem(side.PREPARE, name, change)


def rated(side: Any, name: str, factor: float) -> Callable[[Any], Prepared]:
    make = side.PREPARE[name]
    return lambda setup: make(setup._replace(how=_with(setup.how, learning_rate=setup.how.learning_rate * factor)))


def shortened(side: Any, name: str) -> Callable[[Any], Prepared]:
    """One step fewer, and its loss made up, as a loop that drops the last batch would not tell."""
    make = side.PREPARE[name]

    def prepare(setup: Any) -> Prepared:
        count = len(setup.how.indices)
        if count == 1:
            found: Prepared = make(setup)
            return found
        short = make(setup._replace(how=_with(setup.how, count=count - 1)))

        def read(done: Any) -> Any:
            return [
                outcome._replace(losses=np.append(outcome.losses, outcome.losses[-1])) for outcome in short.read(done)
            ]

        return Prepared(short.place, short.run, read)

    return prepare


def coarse_torch(bits: int) -> Callable[[Any], Prepared]:
    """Products whose factors keep a few mantissa bits in float32, and all of them in float64, where nobody looks."""
    make = torch_variants.PREPARE["stepped"]

    def rounded(tensor: torch.Tensor) -> torch.Tensor:
        if tensor.dtype != torch.float32:
            return tensor
        scaled = tensor * splitter("float32", bits)
        return (scaled - (scaled - tensor)).detach() + (tensor - tensor.detach())

    def prepare(setup: Any) -> Prepared:
        def loss(model: Any, batch: Any) -> Any:
            held = {name: rounded(tensor) for name, tensor in model.named_parameters()}
            return setup.problem.loss(lambda x: torch.func.functional_call(model, held, (rounded(x),)), batch)

        return make(setup._replace(problem=setup.problem._replace(loss=loss)))

    return prepare


def _with(how: Any, **changed: Any) -> Any:
    return dataclasses.replace(how, **changed)


SIDES = pytest.mark.parametrize(
    ("side", "name"), [(torch_variants, "stepped"), (jax_variants, "whole_run")], ids=["torch", "jax"]
)


@SIDES
def test_a_learning_rate_that_is_off_is_wrong(
    side: Any, name: str, judge_of: Callable[[Case], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    plant(monkeypatch, side, name, rated(side, name, 1.0001))
    framework = "torch" if side is torch_variants else "jax"
    found = worker(SMALL["mlp"], f"{framework} {name}").check(judge_of(SMALL["mlp"]))
    assert found["outcome"] == "wrong"
    assert found["reason"].startswith("float64, step 1, loss: ")


@SIDES
def test_a_step_left_out_is_wrong(
    side: Any, name: str, judge_of: Callable[[Case], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    plant(monkeypatch, side, name, shortened(side, name))
    case, framework = SMALL["mlp"], "torch" if side is torch_variants else "jax"
    one = worker(case, f"{framework} {name}")
    found = one.check(judge_of(case))
    assert found["outcome"] == "wrong"
    assert found["reason"].startswith("float64, step 11, loss: ")
    # The run that was timed tells too, without the judge.
    one.start()
    assert one.describe()["fault"] == "the timed run took 11 steps, expected 12"


@pytest.mark.parametrize("bits", [10, 7], ids=["TF32", "bfloat16"])
def test_lower_precision_where_float32_was_asked_is_wrong(
    bits: int, judge_of: Callable[[Case], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    plant(monkeypatch, torch_variants, "stepped", coarse_torch(bits))
    found = worker(MNIST, "torch stepped").check(judge_of(MNIST))
    assert found["outcome"] == "wrong"
    assert found["reason"].startswith("float32, one step from step 0, ")
    assert found["float64"] <= 1


@SIDES
def test_float32_where_bfloat16_was_asked_is_wrong(
    side: Any, name: str, judge_of: Callable[[Case], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    make, framework = side.PREPARE[name], "torch" if side is torch_variants else "jax"
    problems = torch_problems if side is torch_variants else jax_problems
    plant(monkeypatch, side, name, lambda setup: make(setup._replace(problem=problems.problem_of("mnist", 100))))
    found = worker(BFLOAT16, f"{framework} {name}").check(judge_of(BFLOAT16))
    assert found["outcome"] == "wrong"
    assert found["reason"].endswith("as near to the judge as float32, so nothing was rounded to bfloat16")


def test_a_run_that_rounds_its_parameters_once_for_all_steps_is_wrong(
    judge_of: Callable[[Case], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a recorded step does whose rounded parameters were cached."""
    make = torch_variants.PREPARE["stepped"]

    def prepare(setup: Any) -> Prepared:
        kept: list[dict[str, torch.Tensor]] = []

        def loss(model: Any, batch: Any) -> Any:
            held = dict(model.named_parameters())
            kept.append({name: tensor.detach().clone() for name, tensor in held.items()})
            stale = {name: tensor + (kept[0][name] - tensor).detach() for name, tensor in held.items()}
            return setup.problem.loss(lambda x: torch.func.functional_call(model, stale, (x,)), batch)

        if setup.case.precision != "bfloat16":
            return make(setup)
        return make(setup._replace(problem=setup.problem._replace(loss=loss)))

    plant(monkeypatch, torch_variants, "stepped", prepare)
    found = worker(BFLOAT16, "torch stepped").check(judge_of(BFLOAT16))
    assert found["outcome"] == "wrong"
    assert found["reason"].startswith("bfloat16, two steps together, loss: ")


def test_fewer_bits_where_bfloat16_was_asked_are_wrong(
    judge_of: Callable[[Case], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    plant(monkeypatch, torch_variants, "stepped", coarse_torch(3))
    found = worker(BFLOAT16, "torch stepped").check(judge_of(BFLOAT16))
    assert found["outcome"] == "wrong"
    assert found["reason"].startswith("bfloat16, one step from step ")


def test_the_same_plant_at_full_precision_is_right(
    judge_of: Callable[[Case], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    plant(monkeypatch, torch_variants, "stepped", coarse_torch(23))
    assert worker(MNIST, "torch stepped").check(judge_of(MNIST))["outcome"] == "right"


@pytest.mark.parametrize(("name", "framework"), [("stepped", "torch"), ("many_seeds", "jax")])
def test_a_run_of_another_seed_is_wrong(
    name: str, framework: str, judge_of: Callable[[Case], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where seeds go together: the first one's run may not stand for all."""
    side: Any = torch_variants if framework == "torch" else jax_variants
    make = side.PREPARE[name]

    def first_for_all(setup: Any) -> Prepared:
        made = make(setup)
        return Prepared(made.place, made.run, lambda done: [made.read(done)[0]] * len(setup.states))

    case = SEVERAL if framework == "jax" else dataclasses.replace(SMALL["mlp"], seed=5)
    if framework == "jax":
        plant(monkeypatch, side, name, first_for_all)
    found = worker(case, f"{framework} {name}").check(judge_of(SMALL["mlp"]))
    assert found["outcome"] == "wrong"
    assert found["reason"].startswith("float64, step 0, loss: ")


def test_a_clock_that_stops_before_the_device_is_done_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    case = Case("mnist", steps=40)
    one = worker(case, "jax whole_run")
    one.start()
    assert one.run()["settled"]
    monkeypatch.setattr(jax_machine, "wait", lambda result, device: None)
    hasty = one.run()
    jax.block_until_ready(one.last)  # type: ignore[no-untyped-call]
    assert not hasty["settled"]


def test_torch_on_a_cpu_comes_back_with_its_results() -> None:
    assert torch_machine.settled(torch.ones(3), "cpu")


@pytest.mark.parametrize("framework", ["torch", "jax"])
@pytest.mark.parametrize(("case", "bits"), [(MNIST, 23), (BFLOAT16, 7)], ids=["float32", "bfloat16"])
def test_a_worker_tells_what_ran(case: Case, bits: int, framework: str) -> None:
    one = worker(case, f"{framework} stepped")
    assert one.start().keys() == {"import_s", "data_s", "first_run_s"}
    found = one.describe()
    assert (found["fault"], found["mantissa_bits"], found["kernels_per_step"]) == ("", bits, None)
    assert 0 < found["accuracy"]["test"] < 1
    assert found["resident_bytes"] > 1e8
    assert framework in found["provenance"]["versions"]


def test_a_loss_that_is_not_finite_is_a_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    plant(monkeypatch, torch_variants, "stepped", rated(torch_variants, "stepped", 1e38))
    one = worker(MNIST, "torch stepped")
    one.start()
    assert one.describe()["fault"] == "the timed run has a loss that is not finite"


def test_a_probe_that_shows_another_precision_is_told() -> None:
    float32, tf32 = (Case("mnist", precision, "gpu") for precision in ("float32", "tf32"))
    assert wrong_precision(float32, 23) == ""
    assert wrong_precision(tf32, 10) == ""
    assert wrong_precision(float32, 10) == "float32 was asked for on the gpu, and products keep 10 mantissa bits"
    assert wrong_precision(tf32, 23)


def test_a_library_need_not_use_tf32_for_every_size_of_a_sweep() -> None:
    swept = Case("mnist", "tf32", "gpu", width=25)
    assert wrong_precision(swept, 23) == ""
    assert wrong_precision(swept, 7)
    assert wrong_precision(dataclasses.replace(swept, precision="bfloat16"), 23)
    assert wrong_precision(dataclasses.replace(swept, precision="float32"), 10)


@pytest.mark.parametrize("counts", [lambda run, device: 0, lambda run, device: next(iter(()))], ids=["none", "fails"])
def test_a_run_is_none_the_worse_for_a_profiler_that_cannot_count(counts: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch_machine, "kernels", counts)
    one = worker(SMALL["mlp"], "torch stepped")
    one.start()
    found = one.describe()
    assert (found["fault"], found["kernels_per_step"]) == ("", None)


def test_what_was_timed_is_given_up_before_it_is_checked(judge_of: Callable[[Case], Path]) -> None:
    one = worker(SMALL["mlp"], "torch stepped")
    one.start()
    assert one.prepared is not None
    assert one.check(judge_of(SMALL["mlp"]))["outcome"] == "right"
    assert one.prepared is one.last is None
