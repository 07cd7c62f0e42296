"""Which cases and variants a request comes to."""

from __future__ import annotations

import shlex
from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest

from benchmarks.noise import is_swept
from benchmarks.plan import BATCH_SIZES, SEEDS, SWEPT, WIDTHS, Group, Request, groups, rounds_of
from benchmarks.variants import VARIANTS, named
from parity.errors import NotCheckable


def names(group: Group) -> list[str]:
    return [entry.variant.full_name for entry in group.entries if not entry.twin]


def test_quick_is_mnist_in_float32_with_twins() -> None:
    (group,) = groups(Request(quick=True))
    assert group.case.name == "mnist-float32-cpu"
    assert names(group) == ["torch notebook", "torch stepped", "torch compiled", "jax stepped", "jax whole_run"]
    assert [entry.name for entry in group.entries if entry.twin] == ["torch-stepped-twin", "jax-whole_run-twin"]
    assert (rounds_of(Request(quick=True)), rounds_of(Request()), rounds_of(Request(rounds=4))) == (3, 10, 4)


@pytest.mark.parametrize(("device", "precisions"), [("cpu", 1), ("gpu", 3)])
def test_the_full_run_has_every_variant_problem_precision_and_size(device: str, precisions: int) -> None:
    found = groups(Request(device=device))
    usual = [group for group in found if not is_swept(group.case.document())]
    # The line fit multiplies no matrices, and so has one precision.
    assert len([group for group in usual if group.case.seeds == 1]) == 1 + 2 * precisions
    # bfloat16 comes at the notebook's size, with one seed.
    assert len([group for group in usual if group.case.seeds > 1]) == len(SEEDS[device]) * min(precisions, 2)
    assert not [group for group in found if group not in usual and group.case.precision == "bfloat16"]
    swept = [group.case for group in found if is_swept(group.case.document())]
    assert {case.width for case in swept} == {*WIDTHS, 100}
    assert {case.batch_size for case in swept} == {*BATCH_SIZES, 1000}
    told = {variant.full_name for group in found for variant, _ in group.left_out}
    assert {name for group in found for name in names(group)} | told == {variant.full_name for variant in VARIANTS}
    if device == "gpu":
        # A GPU runs all but what is for CPUs, what a problem has no use for, and in bfloat16 what writes
        # its products out.
        reasons = ("no optimizer", "for mnist alone", "x86 CPU", "writes its products out", "with fewer than 256 seeds")
        assert all(any(reason in why for reason in reasons) for group in found for _, why in group.left_out)
    assert all(set(names(group)) <= set(SWEPT) for group in found if is_swept(group.case.document()))


def test_what_needs_a_gpu_says_so_on_a_cpu() -> None:
    mnist = next(group for group in groups(Request()) if group.case.name == "mnist-float32-cpu")
    told = {variant.full_name: why for variant, why in mnist.left_out}
    assert told["torch whole_run"] == "whole_run captures a CUDA graph and needs a GPU"
    assert "needs a GPU" in told["jax whole_run_no_command_buffer"]
    assert "torch many_seeds" not in told


@pytest.mark.parametrize(("processor", "runs"), [("x86_64", True), ("AMD64", True), ("arm64", False)])
def test_a_choice_of_x86_products_is_timed_on_x86(processor: str, runs: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("platform.machine", lambda: processor)
    mnist = next(group for group in groups(Request()) if group.case.name == "mnist-float32-cpu")
    told = {variant.full_name: why for variant, why in mnist.left_out}
    assert ("torch compiled_onednn" in names(mnist)) is runs
    assert ("torch compiled_onednn" in told) is not runs


def test_the_line_fit_has_no_lower_precision() -> None:
    (group,) = groups(Request(device="gpu", problems=("line_fit",), seeds=(1,)))
    assert group.case.name == "line_fit-float32-gpu"
    with pytest.raises(NotCheckable, match="line_fit multiplies no matrices"):
        groups(Request(device="gpu", problems=("line_fit",), precisions=("tf32",)))


def test_a_request_is_narrowed_by_each_option() -> None:
    (group,) = groups(Request(problems=("mlp",), variants=("stepped", "jax whole_run")))
    assert group.case.problem == "mlp"
    assert names(group) == ["torch stepped", "jax stepped", "jax whole_run"]
    (several,) = groups(Request(problems=("mlp",), seeds=(8,)))
    assert several.case.seeds == 8
    assert names(several) == ["torch many_seeds", "torch many_seeds_compiled", "jax many_seeds"]
    assert [group.case.steps for group in groups(Request(quick=True, steps=7))] == [7]
    assert [group.case.precision for group in groups(Request(quick=True, device="gpu", precisions=("tf32",)))] == [
        "tf32"
    ]


@pytest.mark.parametrize(
    ("request_", "told"),
    [
        ({"variants": ("steped",)}, "there is no variant 'steped': known are notebook, stepped"),
        ({"variants": ("torch whole_run",), "problems": ("mlp",)}, "needs a GPU"),
        # It is not written for the line fit, which comes first; but that is not why it does not run.
        ({"variants": ("whole_run_fused",)}, "whole_run_fused captures a CUDA graph and needs a GPU"),
        ({"variants": ("fused",), "problems": ("line_fit",)}, "fused says nothing of its own about line_fit"),
        ({"variants": ("many_seeds",), "quick": True}, "trains several seeds together: say how many by --seeds"),
        ({"variants": ("stepped",), "seeds": (4,)}, "stepped trains one seed: leave --seeds out"),
        ({"problems": ("cifar",)}, "there is no problem 'cifar'"),
        ({"precisions": ("tf32",)}, "tf32 needs a GPU"),
    ],
)
def test_what_cannot_be_is_told_before_any_work(request_: dict[str, Any], told: str) -> None:
    with pytest.raises(NotCheckable, match=told):
        groups(Request(**request_))


def test_with_many_seeds_only_the_fastest_are_timed_unless_others_are_asked_for() -> None:
    (crowd,) = groups(Request(device="gpu", problems=("mnist",), precisions=("tf32",), seeds=(1024,)))
    assert names(crowd) == [
        "torch many_seeds_whole_run", "torch many_seeds_padded", "jax many_seeds", "jax many_seeds_padded",
    ]  # fmt: skip
    assert [variant.full_name for variant, _ in crowd.left_out] == ["torch many_seeds", "torch many_seeds_compiled"]
    request = Request(device="gpu", problems=("mnist",), variants=("torch many_seeds",), seeds=(1024,))
    assert names(groups(request)[0]) == ["torch many_seeds"]


def test_what_a_lent_gpu_is_asked_for_exists_and_runs_there() -> None:
    script = (Path(__file__).parents[2] / ".ci" / "gpu").read_text().replace("\\\n", " ")
    lines = [shlex.split(line) for line in script.splitlines() if line.startswith("bench gpu-")]
    assert len(lines) == 3
    for _, _, *options in lines:
        given: dict[str, list[str]] = defaultdict(list)
        for option, value in zip(options[::2], options[1::2], strict=True):
            given[option].append(value)
        request = Request(
            quick=True,
            device="gpu",
            problems=("mnist",),
            variants=tuple(given["--variant"]),
            precisions=tuple(given["--precision"]),
            seeds=tuple(map(int, given["--seeds"])),
        )
        found = groups(request)
        timed = {name for group in found for name in names(group)}
        assert len(found) == len(request.precisions)
        assert all(any(variant.full_name in timed for variant in named(name)) for name in request.variants)
