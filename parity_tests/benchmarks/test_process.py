"""A process of its own: its environment, its log, what it cannot do, and its end."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

import benchmarks.process
from benchmarks.case import Case
from benchmarks.process import Process, VariantFailed
from parity.errors import NotCheckable

MLP = Case("mlp", steps=3)


@pytest.fixture(autouse=True)
def _found_by_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[2]))


def test_a_process_does_what_it_is_asked_and_goes_on_after_what_it_cannot(tmp_path: Path) -> None:
    log = tmp_path / "below" / "jax.log"
    process = Process(MLP, "jax stepped", {"XLA_FLAGS": "--xla_cpu_enable_fast_math=false"}, log)
    try:
        with pytest.raises(VariantFailed, match=r"stepped is not started: ask for start .*; its log is .*jax\.log"):
            process.ask("run")
        assert process.ask("start").keys() == {"import_s", "data_s", "first_run_s"}
        run = process.ask("run")
        assert run["seconds"] > 0
        assert run["settled"]
        flags = process.ask("describe")["provenance"]["flags"]
        assert flags["XLA_FLAGS"] == "--xla_cpu_enable_fast_math=false"
        assert "XLA_FLAGS" not in os.environ
    finally:
        process.close()
        process.close()
    assert "Traceback" in log.read_text()


def test_a_process_that_ends_by_itself_is_told_with_its_status(tmp_path: Path) -> None:
    # A flag that XLA does not know ends the process at its first use.
    process = Process(MLP, "jax stepped", {"XLA_FLAGS": "--xla_there_is_no_such_flag=1"}, tmp_path / "jax.log")
    with pytest.raises(VariantFailed, match=r"the process ended with status -?[1-9][0-9]* at start; its log is "):
        process.ask("start")
    process.close()
    assert "xla_there_is_no_such_flag" in (tmp_path / "jax.log").read_text()


def test_a_process_that_does_not_answer_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(benchmarks.process, "ANSWER_S", 0)
    process = Process(MLP, "jax stepped", {}, tmp_path / "jax.log")
    with pytest.raises(VariantFailed, match=r"no answer to start in 0 s; its log is .*jax\.log"):
        process.ask("start")
    process.close()
    assert not process._process.is_alive()


def test_ctrl_c_is_for_the_benchmark_and_not_for_a_process_that_begins(tmp_path: Path) -> None:
    """A terminal sends it to both."""
    process = Process(MLP, "jax stepped", {}, tmp_path / "jax.log")
    try:
        os.kill(process._process.pid or 0, signal.SIGINT)
        with pytest.raises(VariantFailed, match="stepped is not started"):
            process.ask("run")
        os.kill(process._process.pid or 0, signal.SIGINT)
        with pytest.raises(VariantFailed, match="stepped is not started"):
            process.ask("run")
    finally:
        process.close()
    assert signal.pthread_sigmask(signal.SIG_BLOCK, []) == set()


def test_a_log_that_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "logs").touch()
    with pytest.raises(NotCheckable, match=r"/logs: cannot be written \((File exists|Not a directory)\): "):
        Process(MLP, "jax stepped", {}, tmp_path / "logs" / "jax.log")
