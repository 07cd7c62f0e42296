"""What the caller's environment may not change, what is told of it, and that a variant's process has it so."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

import benchmarks.session
from benchmarks.case import Case
from benchmarks.command import DONE, main
from benchmarks.process import Process
from benchmarks.switches import CLEARED, flags, to_clear
from parity_tests.benchmarks.made import processes


def test_what_is_told_is_what_a_framework_may_read_and_no_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    told = {"XLA_FLAGS": "--x", "MKL_NUM_THREADS": "1", "PYTORCH_CUDA_ALLOC_CONF": "y", "OMP_PLACES": "cores"}
    hidden = {"NVIDIA_API_KEY": "0", "JAX_TOKEN": "0", "HOME_OF_JAX": "0"}
    for name, value in (told | hidden).items():
        monkeypatch.setenv(name, value)
    found = flags()
    assert found.items() >= told.items()
    assert not hidden.keys() & found.keys()


@pytest.mark.parametrize("framework", ["torch", "jax"])
def test_no_process_has_what_would_change_its_variant(
    framework: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """JAX would compile nothing and compute in float64, and torch.compile would do nothing."""
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[2]))
    # torch reads its switch once: in this process before it is set.
    torch.get_float32_matmul_precision()
    for name in CLEARED:
        monkeypatch.setenv(name, "1")
    monkeypatch.setenv("XLA_FLAGS", "--xla_cpu_multi_thread_eigen=true")
    assert to_clear() == list(CLEARED)
    set_for_it = {"JAX_COMPILATION_CACHE_DIR": str(tmp_path / "jax")}
    process = Process(Case("mlp", steps=2), f"{framework} stepped", set_for_it, tmp_path / "log")
    try:
        process.ask("start")
        found = process.ask("describe")["provenance"]["flags"]
    finally:
        process.close()
    assert not set(CLEARED) & found.keys()
    assert found.items() >= {"XLA_FLAGS": "--xla_cpu_multi_thread_eigen=true", **set_for_it}.items()


def test_what_was_cleared_is_told_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(benchmarks.session, "Process", processes([]))
    line = ["--quick", "--device", "cpu", "--variant", "stepped", "--output", str(tmp_path / "out")]
    assert main(line) == DONE
    assert "cleared" not in capsys.readouterr().err
    monkeypatch.setenv("JAX_DISABLE_JIT", "1")
    monkeypatch.setenv("TORCHDYNAMO_DISABLE", "1")
    assert main([*line, "--rounds", "4"]) == DONE
    told = "benchmarks: cleared for the variants, which would be others with it: JAX_DISABLE_JIT, TORCHDYNAMO_DISABLE\n"
    assert capsys.readouterr().err.count(told) == 1
