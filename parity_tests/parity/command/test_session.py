"""A fault of parity itself is told as such, and costs the pair that it was met in."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator  # type: ignore[import-untyped]

from parity.command import jobs
from parity.command.app import main
from parity.command.report import print_verdict
from parity.verdict import Verdict
from parity_tests.parity.command.made_engine import Engine
from parity_tests.parity.made_verdicts import agreeing, differing

ROOT = Path(__file__).parents[3]
SCHEMA = json.loads((ROOT / "docs" / "parity.schema.json").read_text(encoding="utf-8"))
Said = pytest.CaptureFixture[str]


def one_line(said: str) -> str:
    assert re.fullmatch(r"parity: [^\n]+\n", said), said
    return said


def test_a_fault_of_parity_itself_is_told_as_such(engine: Engine, folder: Path, capsys: Said) -> None:
    engine.outcomes = {"a": ValueError("of\nmany lines")}
    assert main(["a"]) == 2
    said = "parity: a: this is a fault of parity itself: ValueError: of many lines (--traceback shows where)\n"
    assert one_line(capsys.readouterr().err) == said
    assert main(["a", "--traceback"]) == 2
    err = capsys.readouterr().err
    assert err.startswith(said)
    assert "Traceback" in err
    assert "raise outcome\nValueError: of\nmany lines" in err


@pytest.mark.parametrize(("b", "status"), [(agreeing, 2), (differing, 1)], ids=["agree", "differ"])
def test_a_fault_of_parity_itself_costs_one_pair_and_not_the_others(
    engine: Engine, folder: Path, capsys: Said, b: Callable[[str], Verdict], status: int
) -> None:
    (folder / "found.json").write_text("of an older call")
    engine.outcomes = {"a": KeyError("step#4.input"), "b": b}
    assert main(["--json", "found.json"]) == status
    out, err = capsys.readouterr()
    assert "b (1 of 1 pair, " in out.splitlines()[-1]
    assert out.endswith("; not checked: a\n")
    found = json.loads((folder / "found.json").read_text())
    Draft202012Validator(SCHEMA).validate(found)
    assert (found["exit_status"], [entry["pair"] for entry in found["pairs"]]) == (status, ["b"])
    (entry,) = found["not_checked"]
    assert (entry["pair"], f"parity: a: {entry['reason']}\n") == ("a", one_line(err))
    assert "this is a fault of parity itself: KeyError: 'step#4.input'" in entry["reason"]


def test_so_does_a_verdict_that_cannot_be_shown(
    engine: Engine, folder: Path, capsys: Said, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown: Callable[..., None] = print_verdict

    def show(out: object, pair: Any, verdict: Verdict) -> None:
        shown(out, pair, verdict if pair.name == "b" else None)

    monkeypatch.setattr(jobs, "print_verdict", show)
    assert main(["--json", "found.json"]) == 2
    assert "a: this is a fault of parity itself: AttributeError" in one_line(capsys.readouterr().err)
    found = json.loads((folder / "found.json").read_text())
    assert [entry["pair"] for entry in found["pairs"]] == ["b"]


def test_a_reader_who_leaves_is_no_fault(engine: Engine, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def leave(*_: object) -> None:
        raise BrokenPipeError

    monkeypatch.setattr(jobs, "print_verdict", leave)
    monkeypatch.setattr(os, "dup2", lambda *_: None)
    assert main(["--json", "found.json"]) == 2
    assert len(engine.asked) == 1
    assert not (folder / "found.json").exists()
