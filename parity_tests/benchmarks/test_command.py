"""The command: what it asks for, what it writes, its exit statuses and its lines for what cannot be done."""

from __future__ import annotations

import json
import signal
import sys
from pathlib import Path
from typing import Any

import pytest

import benchmarks.machine
import benchmarks.measure
import benchmarks.session
from benchmarks.command import CANNOT, DONE, INTERRUPTED, RED, TERMINATED, main
from benchmarks.document import SCHEMA
from benchmarks.machine import machine
from benchmarks.plan import Request
from parity_tests.benchmarks.made import FAILED, RIGHT, processes
from parity_tests.benchmarks.made_results import result

Capture = pytest.CaptureFixture[str]
LINE = ["--quick", "--device", "cpu", "--output", "out"]
WRONG = {("jax stepped", "check"): RIGHT | {"outcome": "wrong", "reason": "step 1 differs"}}


@pytest.fixture(autouse=True)
def _made_processes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    answer(monkeypatch, {})


def answer(monkeypatch: pytest.MonkeyPatch, answers: dict[tuple[str, str], Any]) -> list[tuple[str, str]]:
    asked: list[tuple[str, str]] = []
    monkeypatch.setattr(benchmarks.session, "Process", processes(asked, answers))
    return asked


def test_quick_ends_with_tables_json_plots_and_a_page(tmp_path: Path, capsys: Capture) -> None:
    assert main(["--quick", "--device", "cpu"]) == DONE
    folder = tmp_path / "build" / "benchmarks" / "quick-cpu"
    found = json.loads((folder / "result.json").read_text())
    assert found["command"] == ["python", "-m", "benchmarks", "--quick", "--device", "cpu"]
    assert found["schema_version"] == json.loads(SCHEMA.read_text())["properties"]["schema_version"]["const"]
    assert {file.name for file in folder.iterdir()} >= {
        "README.md", "levers-mnist-float32-cpu.png", "levers-mnist-float32-cpu.svg",
    }  # fmt: skip
    captured = capsys.readouterr()
    assert "mnist-float32-cpu: pairs" in captured.out
    assert "left" in captured.err


def test_what_is_not_in_the_cache_of_compiled_programs_is_left_out_of_quick_until_asked_for(
    tmp_path: Path, capsys: Capture
) -> None:
    assert main(["--quick", "--device", "cpu", "--output", "first"]) == DONE
    told = " ".join(capsys.readouterr().out.split())
    assert "torch compiled: not compiled yet: --quick --variant compiled --output FOLDER compiles it" in told
    assert main(["--quick", "--device", "cpu", "--variant", "compiled", "--output", "second"]) == DONE
    assert main(["--quick", "--device", "cpu", "--output", "third"]) == DONE
    found = json.loads((tmp_path / "third" / "result.json").read_text())["cases"][0]["variants"]
    assert next(one for one in found if one["name"] == "compiled")["verdict"] == "right"


def test_a_second_call_measures_nothing_says_so_and_tells_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    assert main(LINE) == DONE
    assert "timed now" not in capsys.readouterr().out
    before = json.loads((tmp_path / "out" / "result.json").read_text())
    asked = answer(monkeypatch, {})
    assert main(LINE) == DONE
    assert asked == []
    after = json.loads((tmp_path / "out" / "result.json").read_text())
    assert before == after
    when = before["begun_at"][:16].replace("T", " ")
    assert (
        f"nothing was timed now: this is the result of a benchmark begun at {when} UTC; to measure anew, name another "
        "folder by --output, or remove out\n" in capsys.readouterr().out
    )


def test_more_rounds_are_added_to_those_that_are_there(tmp_path: Path, capsys: Capture) -> None:
    assert main(LINE) == DONE
    before = json.loads((tmp_path / "out" / "result.json").read_text())["cases"][0]["variants"][0]["runs"]
    assert main([*LINE, "--rounds", "5"]) == DONE
    assert "only part of this was timed now: 18 of 30 runs are of a benchmark begun at 2" in capsys.readouterr().out
    after = json.loads((tmp_path / "out" / "result.json").read_text())["cases"][0]["variants"][0]["runs"]
    assert (len(before), len(after)) == (3, 5)
    assert after[:3] == before


def test_the_folder_of_another_machine_is_left_alone(monkeypatch: pytest.MonkeyPatch, capsys: Capture) -> None:
    assert main(LINE) == DONE
    this = machine()
    monkeypatch.setattr(benchmarks.measure, "machine", lambda: this | {"cores": 512})
    assert main(LINE) == CANNOT
    assert "out holds a benchmark of another machine" in capsys.readouterr().err


def test_without_a_judge_nothing_is_told(monkeypatch: pytest.MonkeyPatch, capsys: Capture) -> None:
    answer(monkeypatch, {("torch notebook", "make_judge"): FAILED})
    assert main(["--quick", "--device", "cpu"]) == CANNOT
    assert f"there is no judge: {FAILED}" in " ".join(capsys.readouterr().err.split())


def test_a_wrong_variant_is_shown_and_told_by_the_status(monkeypatch: pytest.MonkeyPatch, capsys: Capture) -> None:
    answer(monkeypatch, WRONG)
    assert main(["--quick", "--device", "cpu"]) == RED
    assert "jax stepped: step 1 differs" in capsys.readouterr().out


def test_an_interrupted_benchmark_keeps_what_it_has(monkeypatch: pytest.MonkeyPatch, capsys: Capture) -> None:
    answer(monkeypatch, {("jax stepped", "check"): KeyboardInterrupt()})
    assert main(["--quick", "--device", "cpu"]) == INTERRUPTED
    last = capsys.readouterr().err.splitlines()[-1]
    assert last.startswith("benchmarks: stopped; what is finished is in build/benchmarks/quick-cpu, and ")
    asked = answer(monkeypatch, {})
    assert main(["--quick", "--device", "cpu"]) == DONE
    assert ("jax stepped", "make_judge") not in asked


def test_sigterm_is_an_interrupt_with_a_status_of_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    monkeypatch.setattr(benchmarks.session.Session, "time", lambda *_: signal.raise_signal(signal.SIGTERM))
    before = signal.signal(signal.SIGTERM, signal.SIG_IGN)
    try:
        assert main(LINE) == TERMINATED
        assert signal.getsignal(signal.SIGTERM) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGTERM, before)
    assert "benchmarks: stopped; what is finished is in out, and the same" in capsys.readouterr().err
    assert json.loads((tmp_path / "out" / "finished" / "seconds.json").read_text()) >= 0


def test_a_gpu_that_is_not_there_is_told_before_any_work(monkeypatch: pytest.MonkeyPatch, capsys: Capture) -> None:
    asked = answer(monkeypatch, {})
    monkeypatch.setattr(benchmarks.machine, "best_device", lambda: "cpu")
    assert main(["--quick", "--device", "gpu"]) == CANNOT
    assert capsys.readouterr().err.startswith("benchmarks: --device gpu: neither nvidia-smi nor /dev has a GPU")
    assert asked == []


def test_help_names_what_can_be_named_and_the_command_compare(capsys: Capture) -> None:
    assert main(["--help"]) == DONE
    told = " ".join(capsys.readouterr().out.replace("│", " ").split())
    for words in (
        "Only this problem: line_fit, mlp, mnist; may be given several times.",
        "(names: benchmarks/README.md); may be given several times.",
        "Only this precision: float32, tf32, bfloat16; may be given several times.",
        "N [x>=1] Train so many seeds together; may be given several times.",
        "N [x>=2] Rounds.",
        "Default: build/benchmarks/ and the kind of run, such as quick-cpu or full-gpu.",
        "Commands",
        "compare Compare two results and exit with 1 if anything became slower, is no longer right, or is missing.",
    ):
        assert words in told
    assert "<list" not in told
    assert "be repeated" not in told


def test_what_is_named_twice_is_timed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    requests: list[Request] = []

    def measured(request: Request, *_: Any) -> bool:
        requests.append(request)
        return True

    monkeypatch.setattr(benchmarks.measure, "measured", measured)
    twice = ["--problem", "mlp", "--precision", "float32", "--seeds", "4", "--variant", "jax whole_run"] * 2
    assert main(["--device", "cpu", *twice, "--variant", "torch stepped", "--variant", "stepped"]) == DONE
    (found,) = requests
    assert (found.problems, found.precisions, found.seeds) == (("mlp",), ("float32",), (4,))
    assert found.variants == ("jax whole_run", "stepped")


@pytest.mark.parametrize(
    ("line", "told"),
    [
        (["--quick", "--variant", "steped"], "--variant: there is no variant 'steped'"),
        (["--quick", "--precision", "tf32", "--device", "cpu"], "tf32 needs a GPU"),
        (["--rounds", "1"], "'--rounds'"),
        (["--fast"], "No such option: --fast"),
        (["compare", "old.json"], "Missing argument 'NEW'"),
        (["compare", "old.json", "new.json"], "old.json: cannot be read"),
    ],
)
def test_what_cannot_be_done_is_one_line(line: list[str], told: str, capsys: Capture) -> None:
    assert main(line) == CANNOT
    said = capsys.readouterr().err
    assert said.startswith("benchmarks: ")
    assert said.count("\n") == 1
    assert told in said


def test_the_folder_of_another_benchmark_is_left_alone(capsys: Capture) -> None:
    assert main(["--quick", "--device", "cpu", "--output", "out"]) == DONE
    assert main(["--quick", "--device", "cpu", "--steps", "7", "--output", "out"]) == CANNOT
    assert "out holds another benchmark" in capsys.readouterr().err


def test_plots_need_matplotlib_which_is_told_before_any_work(monkeypatch: pytest.MonkeyPatch, capsys: Capture) -> None:
    asked = answer(monkeypatch, {})
    monkeypatch.setitem(sys.modules, "benchmarks.plots", None)
    assert main(["--quick", "--device", "cpu"]) == CANNOT
    assert "plots need matplotlib" in capsys.readouterr().err
    assert asked == []


def test_compare_ends_with_1_where_something_became_slower(tmp_path: Path, capsys: Capture) -> None:
    old, new = result(), result()
    slower = new["cases"][0]["variants"][1]
    slower["step_us"] = {part: 3 * value for part, value in slower["step_us"].items()}
    for name, document in (("old.json", old), ("new.json", new)):
        (tmp_path / name).write_text(json.dumps(document))
    assert main(["compare", "old.json", "old.json"]) == DONE
    assert main(["compare", "new.json", "old.json"]) == DONE
    assert "faster" in capsys.readouterr().out
    assert main(["compare", "old.json", "new.json"]) == RED
    assert "slower" in capsys.readouterr().out
    new["machine"]["processor"] = "another"
    (tmp_path / "new.json").write_text(json.dumps(new))
    assert main(["compare", "old.json", "new.json"]) == CANNOT
    assert main(["compare", "old.json", "new.json", "--other-machine"]) == RED


@pytest.mark.parametrize(("verdict", "status"), [("wrong", RED), ("not run", DONE)])
def test_compare_ends_with_1_where_something_is_wrong_now_and_not_where_it_was_not_run(
    verdict: str, status: int, tmp_path: Path, capsys: Capture
) -> None:
    old, new = result(), result()
    new["cases"][0]["variants"][1].update(verdict=verdict, reason="for a reason", step_us=None)
    for name, document in (("old.json", old), ("new.json", new)):
        (tmp_path / name).write_text(json.dumps(document))
    assert main(["compare", "old.json", "new.json"]) == status
    assert "torch stepped: for a reason" in capsys.readouterr().out


def test_compare_ends_with_1_where_something_is_missing(tmp_path: Path, capsys: Capture) -> None:
    old, new = result(), result()
    new["cases"].pop()
    for name, document in (("old.json", old), ("new.json", new)):
        (tmp_path / name).write_text(json.dumps(document))
    assert main(["compare", "old.json", "new.json"]) == RED
    assert "missing" in capsys.readouterr().out
