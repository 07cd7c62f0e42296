"""The text of a failed check: the place and the diagnosis first, then the command's table, plain, then what to do."""

from __future__ import annotations

import sys
from dataclasses import replace

import pytest

from parity.command.app import main
from parity.pytest_plugin.failure import headline, table
from parity_tests.parity.made_verdicts import agreeing, differing, inconclusive, pair
from parity_tests.parity.pytest_plugin.made_project import Engine, Project

REASON = "no power in float32: the wrong answer 'coarse' is only 1.1 limits away"


def test_the_headline_of_a_difference_is_its_place_and_what_it_looks_like() -> None:
    assert headline(differing()) == str(differing().first_difference)
    assert headline(differing()).startswith(
        "backward, step 0, tensor weight, float64: difference 1, limit 1e-12; jax is"
    )


def test_the_headline_of_nothing_proven_is_the_first_reason() -> None:
    assert headline(inconclusive()) == f"inconclusive: forward: {REASON}"


def test_what_is_not_comparable_is_not_told_as_a_difference() -> None:
    drew = replace(inconclusive(), first_difference=differing().first_difference)
    assert headline(drew) == headline(inconclusive())


def test_the_table_is_plain_text_whatever_the_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    plain = table(pair(), agreeing())
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "40")
    assert table(pair(), agreeing()) == plain
    assert "\x1b" not in plain
    assert all(line == line.rstrip() for line in plain.split("\n"))


def test_the_table_is_the_commands(
    project: Project, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys.modules["parity.judging.check"], "check", lambda pair, **_: differing(pair.name))
    monkeypatch.delenv("COLUMNS")
    assert main(["pairs/a.py"]) == 1
    *printed, _ = capsys.readouterr().out.splitlines()
    assert table(pair("a"), differing("a")).splitlines() == [line.rstrip() for line in printed][:-1]


def test_a_failed_test_says_where_first_and_ends_with_what_to_do(project: Project, engine: Engine) -> None:
    engine.outcomes = {"a": differing}
    project.test("parity_check('pairs/a.py', seed=7)")
    lines = project.failure()
    assert lines[:3] == [headline(differing()), "", "a  3 steps, seed 7, cpu"]
    assert lines[-2] == "run it again: parity check pairs/a.py --seed 7 --device cpu"
    assert lines[-1].startswith("recordings: .parity/tests-test_port.py-test_port-")
    assert not any("checking.py" in line for line in lines)


def test_pytests_summary_says_where(project: Project, engine: Engine) -> None:
    engine.outcomes = {"a": inconclusive}
    project.test("parity_check('pairs/a.py')")
    (line,) = [line for line in project.run().outlines if line.startswith("FAILED")]
    assert line.startswith("FAILED tests/test_port.py::test_port - Failed: inconclusive: forward: no power")
