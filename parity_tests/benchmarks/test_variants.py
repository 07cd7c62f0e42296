"""On a GPU, every variant does what the judge does, from first process to table; and what cannot run says why."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import pytest

import benchmarks.variants
from benchmarks.case import Case
from benchmarks.plan import Request, groups
from benchmarks.process import Process
from benchmarks.variants import VARIANTS, Variant, by_full_name
from parity.errors import NotCheckable
from torchnet.loops import missing

HERE = {"torch stepped", "jax stepped"}
"""Those that show what is asked of the others, where there is no GPU."""


def right(variant: Variant, device: str, folder: Path) -> None:
    """Make the judge, start, run, describe and check, in a process as the benchmark has it."""
    problem = "mlp" if "mlp" in variant.problems else "mnist"
    case = Case(problem, device=device, steps=12, seeds=3 if variant.seeds else 1)
    process = Process(case, variant.full_name, dict(variant.environment), folder / "variant.log")
    try:
        process.ask("make_judge", folder / "judge.safetensors")
        process.ask("start")
        assert process.ask("run")["settled"]
        described = process.ask("describe")
        assert (described["fault"], described["mantissa_bits"]) == ("", 23)
        assert bool(described["kernels_per_step"]) == (device == "gpu")
        found = process.ask("check", folder / "judge.safetensors")
        assert (found["outcome"], found["reason"]) == ("right", "")
    finally:
        process.close()


@pytest.mark.gpu
@pytest.mark.parametrize(
    "variant",
    [pytest.param(v, marks=[pytest.mark.compiled] if v.compiles else []) for v in VARIANTS if not v.needs_x86],
    ids=lambda variant: variant.full_name,
)
def test_a_variant_is_right_on_a_gpu(variant: Variant, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[2]), prepend=":")
    monkeypatch.setenv("XLA_PYTHON_CLIENT_PREALLOCATE", "false")
    right(variant, "gpu", tmp_path)


@pytest.mark.parametrize("variant", [v for v in VARIANTS if v.full_name in HERE], ids=lambda v: v.full_name)
def test_what_is_asked_of_them_holds_on_a_cpu(
    variant: Variant, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[2]))
    right(variant, "cpu", tmp_path)


def test_without_a_compiler_what_compiles_is_not_run_on_a_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """In the words of the loop that it is, but for the command's own option."""
    monkeypatch.setenv("CXX", "/nonexistent/g++")
    compiled = by_full_name("torch compiled")
    why = compiled.why_not(Case())
    assert why == "compiled needs a C++ compiler, and /nonexistent/g++ is not on the path: install one"
    assert missing("compiled", "cpu").startswith(why)
    assert compiled.why_not(Case(device="gpu")) == ""
    assert by_full_name("torch stepped").why_not(Case()) == ""
    with pytest.raises(NotCheckable, match="nothing that was asked for runs on this machine: compiled needs a C"):
        groups(Request(quick=True, variants=("torch compiled",)))


@pytest.mark.parametrize("missing", ["torch", "jax", "optax"])
def test_the_variants_of_a_framework_that_is_not_installed_are_not_run(
    missing: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(benchmarks.variants, "find_spec", lambda name: None if name == missing else find_spec(name))
    lacking, other = ("torch", "jax") if missing == "torch" else ("jax", "torch")
    (group,) = groups(Request(quick=True))
    assert {entry.variant.framework for entry in group.entries} == {other}
    told = {variant.full_name: why for variant, why in group.left_out}
    why = f"stepped needs {missing}, which is not installed: install the extra {lacking}"
    assert told[f"{lacking} stepped"] == why
    with pytest.raises(NotCheckable, match=why):
        groups(Request(quick=True, variants=(f"{lacking} stepped",)))


@pytest.mark.compiled
def test_with_a_compiler_it_is_run() -> None:
    assert missing("compiled", "cpu") == ""
    assert by_full_name("torch compiled").why_not(Case()) == ""
