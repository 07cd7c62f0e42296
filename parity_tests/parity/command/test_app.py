"""The command: which pairs it checks, what it says on which stream, what it writes, and its exit status."""

from __future__ import annotations

import ast
import json
import os
import re
import sys
from io import StringIO
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator  # type: ignore[import-untyped]

import parity.judging.check  # noqa: F401 -- so that it is there to be replaced
from parity.command.app import main
from parity.command.pairs import NONE_CONFIGURED, PAIR_FILE
from parity.errors import MissingFramework, NotCheckable
from parity_tests.parity.command.made_engine import MADE, Engine, Outcome
from parity_tests.parity.made_verdicts import differing, inconclusive

ROOT = Path(__file__).parents[3]
SCHEMA = json.loads((ROOT / "docs" / "parity.schema.json").read_text(encoding="utf-8"))
check_module = sys.modules["parity.judging.check"]

Said = pytest.CaptureFixture[str]


def one_line(said: str) -> str:
    assert re.fullmatch(r"parity: [^\n]+\n", said), said
    return said


# Which pairs, with which settings


def test_without_arguments_all_configured_pairs_are_checked(engine: Engine, folder: Path, capsys: Said) -> None:
    assert main([]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    assert [asked["pair"] for asked in engine.asked] == ["a", "b"]
    assert [line.split()[0] for line in out.splitlines() if "steps, seed" in line] == ["a", "b"]
    assert out.splitlines()[-1].startswith("AGREE: the same in PyTorch and in JAX: a and b (2 of 2 pairs, ")
    asked = engine.asked[0] | {"progress": None}
    assert asked == {"pair": "a", "seed": 0, "device": "cpu", "loops": ("stepped", "whole_run"), "progress": None}


def test_a_pair_by_name_and_one_by_file(engine: Engine, folder: Path) -> None:
    assert main(["b"]) == 0
    assert main(["./a.py", "b"]) == 0
    assert [asked["pair"] for asked in engine.asked] == ["b", "a", "b"]


def test_settings_reach_the_engine(engine: Engine, folder: Path) -> None:
    assert main(["a", "--seed", "3", "--device", "gpu", "--loops", "all"]) == 0
    assert (engine.asked[0]["seed"], engine.asked[0]["device"], engine.asked[0]["loops"]) == (3, "gpu", None)


def test_what_the_line_leaves_open_the_settings_say(engine: Engine, folder: Path) -> None:
    configured = (folder / "pyproject.toml").read_text() + '\nseed = 3\ndevice = "gpu"\nloops = ["many_seeds"]'
    (folder / "pyproject.toml").write_text(configured)
    assert main(["a"]) == 0
    assert main(["a", "--seed", "0", "--device", "cpu", "--loops", "all"]) == 0
    asked = [(asked["seed"], asked["device"], asked["loops"]) for asked in engine.asked]
    assert asked == [(3, "gpu", ("many_seeds",)), (0, "cpu", None)]


def test_a_pair_by_its_import_path(engine: Engine, folder: Path) -> None:
    assert main(["a:pair", "b"]) == 0
    del sys.modules["a"]
    assert [asked["pair"] for asked in engine.asked] == ["a", "b"]


@pytest.mark.parametrize(("given", "loops"), [("stepped", ["stepped"]), ("many_seeds, stepped", None)])
def test_loops_by_name(engine: Engine, given: str, loops: list[str] | None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    assert main(["mlp", "--loops", given]) == 0
    assert engine.asked[0]["loops"] == (loops or ["many_seeds", "stepped"])


# Exit status


@pytest.mark.parametrize(
    ("outcomes", "status", "closing"),
    [
        ({"a": differing}, 1, "DIFFER: not the same in PyTorch and in JAX: a (1 of 2 pairs, "),
        ({"b": inconclusive}, 1, "INCONCLUSIVE: b (1 of 2 pairs, "),
        ({"a": inconclusive, "b": differing}, 1, "DIFFER: not the same in PyTorch and in JAX: b (1 of 2 pairs, "),
        ({"a": NotCheckable("no data")}, 2, "AGREE: the same in PyTorch and in JAX: b (1 of 1 pair, "),
        ({"a": NotCheckable("no data"), "b": differing}, 1, "DIFFER: not the same in PyTorch and in JAX: b "),
    ],
    ids=["differ", "inconclusive", "both", "not checked", "not checked and differ"],
)
def test_exit_status_and_closing_line(
    engine: Engine, folder: Path, capsys: Said, outcomes: dict[str, Outcome], status: int, closing: str
) -> None:
    engine.outcomes = outcomes
    assert main(["--json", "found.json"]) == status
    out, err = capsys.readouterr()
    last = out.splitlines()[-1]
    assert last.startswith(closing)
    lost = [name for name, outcome in outcomes.items() if isinstance(outcome, NotCheckable)]
    assert err == "".join(f"parity: {name}: no data\n" for name in lost)
    assert last.endswith("; not checked: a") == bool(lost)
    found = json.loads((folder / "found.json").read_text())
    Draft202012Validator(SCHEMA).validate(found)
    assert found["exit_status"] == status
    assert [entry["pair"] for entry in found["not_checked"]] == lost
    assert len(found["pairs"]) == 2 - len(lost)


def test_nothing_checked_is_not_green(engine: Engine, folder: Path, capsys: Said) -> None:
    engine.outcomes = {"a": NotCheckable("no data"), "b": NotCheckable("no [data]")}
    assert main(["--json", "found.json"]) == 2
    assert capsys.readouterr() == ("", "parity: a: no data\nparity: b: no [data]\n")
    found = json.loads((folder / "found.json").read_text())
    Draft202012Validator(SCHEMA).validate(found)
    assert (found["outcome"], found["exit_status"]) == ("not checked", 2)


def test_a_missing_framework_is_told_once(engine: Engine, folder: Path, capsys: Said) -> None:
    engine.outcomes = dict.fromkeys("ab", MissingFramework("the jax side needs flax, which is not installed"))
    assert main([]) == 2
    assert one_line(capsys.readouterr().err) == "parity: a: the jax side needs flax, which is not installed\n"
    assert len(engine.asked) == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--sed", "3"], "No such option: --sed"),
        (["--seed", "-1"], "Invalid value for '--seed'"),
        (["--seed", "x"], "Invalid value for '--seed'"),
        (["--device", "tpu"], "Invalid value for '--device'"),
        (["--seeds", "1"], "Invalid value for '--seeds'"),
        (["--loops", "scan"], "--loops: no side has a loop called 'scan': the pairs name no loops"),
        (["--loops", ""], "--loops: no side has a loop called ''"),
        (["--seeds", "8", "--loops", "all"], "--loops says nothing to --seeds"),
        (["--seeds", "8", "a"], "pair a names no scores on both sides"),
        (["nobody"], "no pair is called 'nobody': the configured pairs are a, b"),
        (["none.py"], "no such pair file"),
        (["--json", "no/where.json"], "--json no/where.json: cannot be written: No such file or directory"),
        (["--json"], "requires an argument"),
    ],
)
def test_bad_usage_is_one_line_before_any_work(
    engine: Engine, folder: Path, capsys: Said, arguments: list[str], message: str
) -> None:
    assert main(arguments) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert message in one_line(err)
    assert engine.asked == []


def test_no_pair_configured_says_how_to_make_one(
    engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Said
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main([]) == 2
    assert "[tool.parity] pairs = [" in one_line(capsys.readouterr().err)


def test_an_unknown_loop_is_told_with_those_there_are(
    engine: Engine, monkeypatch: pytest.MonkeyPatch, capsys: Said
) -> None:
    monkeypatch.chdir(ROOT)
    assert main(["mlp", "--loops", "scan"]) == 2
    assert "known are stepped, whole_run, many_seeds, compiled, or all" in one_line(capsys.readouterr().err)


def test_an_interruption_is_no_verdict(engine: Engine, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(check_module, "check", interrupt)
    assert main(["a", "--json", "found.json"]) == 130
    assert not (folder / "found.json").exists()


# Help and version


def test_help_shows_a_pair_file_as_it_is_written(capsys: Said, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    assert main(["--help"]) == 0
    told = "\n".join(line[1:].rstrip() for line in capsys.readouterr().out.splitlines())
    # How many empty lines stand before it depends on Typer's version.
    assert re.search(rf"instance:\n+{re.escape(PAIR_FILE)}\n", told)
    assert "Seed for data, initial parameters and batches." in " ".join(told.replace("│", " ").split())
    # On one line, where an error is told, it is the same Python.
    said = NONE_CONFIGURED.partition("a pair file says: ")[2]
    assert ast.dump(ast.parse(said)) == ast.dump(ast.parse(PAIR_FILE))


def test_help_and_version(capsys: Said) -> None:
    assert main(["--help"]) == 0
    out = capsys.readouterr().out
    for option in ("--json", "--device", "--seed", "--loops", "--seeds", "--traceback", "--version", "Exit status"):
        assert option in out
    for words in ("parity FILE.py", "check", "record", "map", "random_batches("):
        assert words in out
    assert main(["--version"]) == 0
    assert re.fullmatch(r"parity \S+\n", capsys.readouterr().out)


@pytest.mark.parametrize(("given", "found"), [(None, "PASSIVE"), ("ACTIVE", "ACTIVE")])
def test_torchs_threads_wait_without_spinning_unless_the_caller_wants_that(
    given: str | None, found: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OMP_WAIT_POLICY", given or "")
    if given is None:
        monkeypatch.delenv("OMP_WAIT_POLICY")
    assert main(["--version"]) == 0
    assert os.environ["OMP_WAIT_POLICY"] == found


# Over seeds


def test_seeds_compare_the_pairs_that_offer_scores(folder: Path, capsys: Said) -> None:
    assert main(["--seeds", "64", "--json", "found.json"]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    assert "b  64 runs a side, cpu: torch seeds 0 to 63, JAX 64 to 127" in out
    assert out.splitlines()[-1].startswith("AGREE: equivalent scores in PyTorch and in JAX: b (")
    found = json.loads((folder / "found.json").read_text())
    Draft202012Validator(SCHEMA).validate(found)
    assert (found["pairs"], [entry["pair"] for entry in found["seeds"]]) == ([], ["b"])


@pytest.mark.parametrize(
    ("jax", "count", "closing"),
    [
        ("made_seeds.normal(0.950, 0.004)", "64", "DIFFER: other scores"),
        ("made_seeds.normal(0.971)", "4", "INCONCLUSIVE: b"),
        ("made_seeds.with_nan", "64", "INCONCLUSIVE: b"),
    ],
    ids=["Flax's default", "too few", "NaN"],
)
def test_seeds_that_are_not_green(folder: Path, capsys: Said, jax: str, count: str, closing: str) -> None:
    (folder / "b.py").write_text(MADE.format(name="b", torch="made_seeds.normal(0.971)", jax=jax))
    assert main(["b", "--seeds", count]) == 1
    assert capsys.readouterr().out.splitlines()[-1].startswith(closing)


# On a terminal


class Terminal(StringIO):
    """A stream that takes itself for a terminal."""

    def isatty(self) -> bool:
        return True


def test_progress_is_shown_on_a_terminal_and_leaves_stdout_alone(
    engine: Engine, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out, err = StringIO(), Terminal()
    monkeypatch.setenv("TERM", "xterm")
    for variable in ("NO_COLOR", "FORCE_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setattr(sys, "stdout", out)
    monkeypatch.setattr(sys, "stderr", err)
    assert main(["a"]) == 0
    assert "a: float64, torch: 100 steps" in err.getvalue()
    assert "\x1b" not in out.getvalue()
    assert "float64, torch" not in out.getvalue()


@pytest.mark.parametrize(("columns", "limits"), [(None, 3), ("40", 2), ("80", 2), ("120", 3)])
def test_the_width_is_that_of_columns_or_100_and_no_figure_is_cut_off(
    engine: Engine, folder: Path, capsys: Said, monkeypatch: pytest.MonkeyPatch, columns: str | None, limits: int
) -> None:
    if columns:
        monkeypatch.setenv("COLUMNS", columns)
    assert main(["a"]) == 0
    out = capsys.readouterr().out
    assert out.splitlines()[2].split().count("limit") == limits
    assert "\N{HORIZONTAL ELLIPSIS}" not in out
