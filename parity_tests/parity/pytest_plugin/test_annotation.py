"""GitHub's annotations: one line for each failed check, escaped as GitHub reads them, and nowhere else."""

from __future__ import annotations

from pathlib import Path

import pytest

from parity.errors import NotCheckable
from parity.pytest_plugin.annotation import PROPERTY, error_lines
from parity_tests.parity.made_verdicts import differing
from parity_tests.parity.pytest_plugin.made_project import Engine, Project

FIRST = "backward, step 0, tensor weight, float64: difference 1, limit 1e-12; jax is twice as large"


def report(said: str, file: str = "tests/test_port.py", line: int | None = 4, when: str = "call") -> pytest.TestReport:
    """The report of a failed test, whose check said this."""
    return pytest.TestReport(
        f"{file}::test_port", (file, line, "test_port"), {}, "failed", None, when,  # type: ignore[arg-type]
        user_properties=[("other", "x"), (PROPERTY, said)],
    )  # fmt: skip


def test_a_file_is_told_from_the_checkout(tmp_path: Path) -> None:
    (line,) = error_lines([report("said")], tmp_path / "project", str(tmp_path))
    assert line == "::error file=project/tests/test_port.py,line=5,title=parity::said"


@pytest.mark.parametrize("workspace", ["", "/elsewhere"])
def test_a_file_outside_the_checkout_is_told_in_full(tmp_path: Path, workspace: str) -> None:
    (line,) = error_lines([report("said")], tmp_path, workspace)
    assert line.startswith(f"::error file={tmp_path}/tests/test_port.py,line=5,")


def test_what_would_end_the_line_or_a_property_is_escaped(tmp_path: Path) -> None:
    said = report("1 % off: a, b\r\nand ::error::", file="a,b:c%.py", line=None)
    (line,) = error_lines([said], tmp_path, str(tmp_path))
    assert line == "::error file=a%2Cb%3Ac%25.py,line=1,title=parity::1 %25 off: a, b%0D%0Aand ::error::"


def test_a_test_is_told_once_and_only_where_a_check_failed(tmp_path: Path) -> None:
    other = report("said", file="tests/test_other.py")
    other.user_properties = []
    failed = [report("said"), report("said", when="teardown"), other]
    assert len(error_lines(failed, tmp_path, "")) == 1


# As pytest prints them


@pytest.fixture
def failing(project: Project, engine: Engine) -> Project:
    engine.outcomes = {"a": differing}
    project.test("parity_check('pairs/a.py')")
    return project


def annotated(project: Project) -> list[str]:
    return [line for line in project.run().outlines if "::error" in line]


def test_where_github_runs_the_tests_the_test_is_annotated(failing: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    monkeypatch.setenv("GITHUB_WORKSPACE", str(failing.folder))
    assert annotated(failing) == [f"::error file=tests/test_port.py,line=3,title=parity::a: {FIRST}"]


def test_elsewhere_nothing_is_annotated(failing: Project) -> None:
    assert annotated(failing) == []


def test_what_could_not_be_checked_is_annotated_too(
    failing: Project, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    engine.outcomes = {"a": NotCheckable("no data")}
    (line,) = annotated(failing)
    assert line.endswith("::pairs/a.py: no data")


def test_tests_that_pass_or_fail_for_another_reason_are_not_annotated(
    failing: Project, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    engine.outcomes = {}
    assert annotated(failing) == []
    failing.test("parity_check('pairs/a.py'); assert not 1")
    assert annotated(failing) == []


def test_junits_xml_says_it_too(failing: Project) -> None:
    failing.run("--junit-xml=found.xml", "-o", "junit_family=xunit1")
    assert f'name="parity" value="a: {FIRST}"' in (failing.folder / "found.xml").read_text()
