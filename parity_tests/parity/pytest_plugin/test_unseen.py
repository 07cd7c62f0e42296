"""Below the results of a run stands what checks that agree did not see, and nothing where they saw everything."""

from __future__ import annotations

from dataclasses import replace

import pytest

from parity.pytest_plugin.unseen import PROPERTY, unseen_lines
from parity.verdict import Verdict
from parity_tests.parity.made_verdicts import agreeing, differing
from parity_tests.parity.pytest_plugin.made_project import Engine, Project

LINES = ["whether the jax side clips", "what is done with bias"]


def blind(name: str) -> Verdict:
    return replace(agreeing(name), unseen=LINES)


@pytest.fixture
def half_blind(project: Project, engine: Engine) -> Project:
    engine.outcomes = {"a": blind}
    project.test("parity_check('pairs/a.py')")
    return project


def section(project: Project, *arguments: str) -> list[str]:
    lines = [
        line
        for line in project.run(*arguments).outlines
        if "not seen" in line or line.startswith("tests/test_port.py::")
    ]
    return [line.strip("= ") for line in lines]


def test_what_was_not_seen_is_told_of_a_green_test(half_blind: Project) -> None:
    told = [f"tests/test_port.py::test_port: {line}" for line in LINES]
    assert section(half_blind) == ["not seen by checks that agree", *told]
    half_blind.run().assert_outcomes(passed=1)


def test_where_everything_was_seen_nothing_is_told(half_blind: Project, engine: Engine) -> None:
    engine.outcomes = {}
    assert section(half_blind) == []


def test_a_failed_check_tells_it_in_its_table_alone(half_blind: Project, engine: Engine) -> None:
    engine.outcomes = {"a": lambda name: replace(differing(name), unseen=LINES)}
    assert [line for line in half_blind.failure() if "not seen" in line] == [f"not seen: {line}" for line in LINES]
    assert "not seen by checks that agree" not in section(half_blind)


def test_it_is_told_once_although_a_test_has_many_reports() -> None:
    def report(when: str) -> pytest.TestReport:
        return pytest.TestReport(
            "test_port", ("test_port.py", 1, "test_port"), {}, "passed", None, when,  # type: ignore[arg-type]
            user_properties=[("parity", "x"), (PROPERTY, "line")],
        )  # fmt: skip

    assert unseen_lines([report("call"), report("teardown")]) == ["test_port: line"]


def test_junits_xml_says_it_too(half_blind: Project) -> None:
    half_blind.run("--junit-xml=found.xml", "-o", "junit_family=xunit1")
    assert f'name="{PROPERTY}" value="{LINES[0]}"' in (half_blind.folder / "found.xml").read_text()
