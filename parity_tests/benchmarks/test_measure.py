"""A folder that was begun before: with other software, by a benchmark that was killed, on a disk that is full."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator  # type: ignore[import-untyped]

import benchmarks.measure
import benchmarks.session
from benchmarks.command import CANNOT, DONE, main
from benchmarks.document import SCHEMA
from benchmarks.machine import machine
from benchmarks.source import source
from benchmarks.store import alone
from parity_tests.benchmarks.made import CONDITION, processes

Capture = pytest.CaptureFixture[str]
LINE = ["--quick", "--device", "cpu", "--output", "out"]
MORE = [*LINE, "--rounds", "4"]
VALIDATOR = Draft202012Validator(json.loads(SCHEMA.read_text(encoding="utf-8")))


@pytest.fixture
def asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture) -> list[tuple[str, str]]:
    """What processes are asked after a benchmark has ended in the folder out."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    found: list[tuple[str, str]] = []
    monkeypatch.setattr(benchmarks.session, "Process", processes(found))
    assert main(LINE) == DONE
    capsys.readouterr()
    found.clear()
    return found


def result() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(Path("out", "result.json").read_text())
    VALIDATOR.validate(found)
    return found


def finished(name: str) -> Path:
    return Path("out", "finished", f"{name}.json")


def refused(line: list[str], capsys: Capture) -> str:
    """The one line that it is refused by."""
    assert main(line) == CANNOT
    (told,) = capsys.readouterr().err.splitlines()
    return told


def test_other_packages_are_not_mixed_into_a_result(
    asked: list[tuple[str, str]], monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    this = machine()
    versions = {name: found for name, found in this["versions"].items() if name != "optax"} | {"jax": "99"}
    monkeypatch.setattr(benchmarks.measure, "machine", lambda: this | {"versions": versions, "python": "4.0"})
    told = refused(MORE, capsys)
    for part in (
        f"Python {this['python']}, now 4.0",
        f"jax {this['versions']['jax']}, now 99",
        f"optax {this['versions']['optax']}, now none",
        "name another folder by --output",
    ):
        assert part in told
    assert "torch" not in told
    # What is finished is shown all the same.
    before = result()
    assert main(LINE) == DONE
    assert "nothing was timed now" in capsys.readouterr().out
    assert result() == before
    assert asked == []


def test_other_code_is_not_mixed_into_a_result(
    asked: list[tuple[str, str]], monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    assert result()["source"] == source()
    monkeypatch.setattr(benchmarks.measure, "source", lambda: "0123456789ab")
    assert f"this project's code {source()}, now 0123456789ab" in refused(MORE, capsys)
    assert main(LINE) == DONE
    assert result()["source"] == source()
    # As a folder that was begun before the code was kept.
    finished("source").unlink()
    assert "this project's code unknown, now 0123456789ab" in refused(MORE, capsys)
    assert main(LINE) == DONE
    assert "source" not in result()
    assert asked == []


def test_two_at_once_into_one_folder_are_refused(asked: list[tuple[str, str]], capsys: Capture) -> None:
    with alone(Path("out")):
        assert "out: another benchmark is at work in it" in refused(MORE, capsys)
    assert asked == []
    assert main(MORE) == DONE


def test_a_run_that_cannot_be_read_is_timed_again(asked: list[tuple[str, str]], capsys: Capture) -> None:
    damaged = finished("mnist-float32-cpu/jax-stepped/run-001")
    damaged.write_text("")
    assert main(LINE) == DONE
    assert capsys.readouterr().err.count(f"benchmarks: {damaged}: cannot be read, and counts as not there\n") == 1
    assert {name for name, task in asked if task == "run"} == {"jax stepped"}
    assert json.loads(damaged.read_text())["seconds"] > 0


def test_a_judge_that_cannot_be_read_is_made_again(asked: list[tuple[str, str]], capsys: Capture) -> None:
    (judge,) = Path("out").rglob("judge*.safetensors")
    judge.write_bytes(judge.read_bytes()[:-1])
    assert main(MORE) == DONE
    assert f"{judge}: cannot be read" in capsys.readouterr().err
    assert sum(task == "make_judge" for _, task in asked) == 1


@pytest.mark.parametrize("name", ["request", "machine"])
def test_without_what_it_is_of_a_folder_is_refused(name: str, asked: list[tuple[str, str]], capsys: Capture) -> None:
    finished(name).write_text("{")
    assert f"benchmarks: {finished(name)}: cannot be read" in refused(LINE, capsys)
    assert asked == []


@pytest.mark.parametrize("damaged", [True, False], ids=["damaged", "missing"])
def test_what_a_killed_benchmark_leaves_out_its_findings_tell(damaged: bool, asked: list[tuple[str, str]]) -> None:
    for name in ("begun", "seconds", "condition-before", "condition-after"):
        finished(name).write_text("") if damaged else finished(name).unlink()
    for index, file in enumerate(Path("out", "finished").glob("*/*/*.json")):
        os.utime(file, (86400 + index % 8, 86400 + index % 8))
    assert main(LINE) == DONE
    assert asked == []
    found = result()
    assert found["begun_at"] == "1970-01-02T00:00:00+00:00"
    assert found["seconds"] == 7


def _full(*_: Any) -> Any:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@pytest.mark.usefixtures("asked")
@pytest.mark.parametrize(("what", "named"), [("write", "out/result.json"), ("page", "out/README.md")])
def test_a_full_disk_is_one_line_that_names_the_file(
    what: str, named: str, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    monkeypatch.setattr(benchmarks.measure, what, _full)
    assert f"benchmarks: {named}: cannot be written (No space left on device)" in refused(LINE, capsys)


@pytest.mark.usefixtures("asked")
def test_who_reads_no_further_has_all_files(monkeypatch: pytest.MonkeyPatch) -> None:
    """`python -m benchmarks | head` closes the pipe that tables go to."""
    Path("out", "README.md").unlink()

    def closed(*_: Any) -> None:
        raise BrokenPipeError(errno.EPIPE, os.strerror(errno.EPIPE))

    monkeypatch.setattr(benchmarks.measure, "show", closed)
    # Typer puts others in their place.
    for stream in ("stdout", "stderr"):
        monkeypatch.setattr(sys, stream, getattr(sys, stream))
    with contextlib.suppress(SystemExit):
        main(LINE)
    assert Path("out", "README.md").exists()


@pytest.mark.usefixtures("asked")
def test_plots_that_cannot_be_written_are_one_line(monkeypatch: pytest.MonkeyPatch, capsys: Capture) -> None:
    monkeypatch.setattr(benchmarks.measure, "_plots", lambda: _full)
    assert "benchmarks: out: cannot be written (No space left on device)" in refused(LINE, capsys)


@pytest.mark.usefixtures("asked")
def test_how_the_machine_was_doing_is_asked_before_and_after(monkeypatch: pytest.MonkeyPatch) -> None:
    loads = iter((0.25, 0.75, 0.125))
    monkeypatch.setattr(benchmarks.measure, "condition", lambda: CONDITION | {"load": next(loads)})
    assert main([*LINE[:-1], "another"]) == DONE
    assert doing("another") == (0.25, 0.75)
    # More rounds are begun later, and end later.
    assert main([*LINE[:-1], "another", "--rounds", "4"]) == DONE
    assert doing("another") == (0.25, 0.125)


def doing(folder: str) -> tuple[float, float]:
    """The load before and after in a result."""
    found = json.loads(Path(folder, "result.json").read_text())["condition"]
    return found["before"]["load"], found["after"]["load"]
