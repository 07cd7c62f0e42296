"""A failed check as GitHub shows it beside the test: a line of the form `::error file=...,line=...,title=...::message`.

Written as in "Workflow commands for GitHub Actions", section "Setting an error message", of GitHub's documentation.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import pytest

PROPERTY = "parity"
"""The name under which a test's report carries what its check said, also into JUnit's XML."""


def said(report: pytest.CollectReport | pytest.TestReport, name: str) -> list[str]:
    """What a test's report carries under a name."""
    return [str(value) for own, value in getattr(report, "user_properties", ()) if own == name]


def error_lines(reports: Iterable[pytest.CollectReport | pytest.TestReport], root: Path, workspace: str) -> list[str]:
    """One line for each test among `reports` that failed at a check.

    `root` is pytest's root folder, `workspace` the checkout that GitHub tells files from; empty where it does not say.
    """
    found: dict[str, str] = {}
    for report in reports:
        told = said(report, PROPERTY)
        if told and report.location is not None:
            file, line, _ = report.location
            at = {"file": _from(workspace, root / file), "line": str((line or 0) + 1), "title": "parity"}
            found[report.nodeid] = _error(at, told[-1])
    return list(found.values())


def _from(workspace: str, file: Path) -> str:
    file = file.resolve()
    folder = Path(workspace).resolve()
    return (file.relative_to(folder) if workspace and file.is_relative_to(folder) else file).as_posix()


def _error(at: dict[str, str], message: str) -> str:
    properties = ",".join(f"{name}={_escaped(value, ':,')}" for name, value in at.items())
    return f"::error {properties}::{_escaped(message)}"


def _escaped(text: str, also: str = "") -> str:
    """The text without what would end the line or the property: `%` first, since the others become it."""
    for character in f"%\r\n{also}":
        text = text.replace(character, f"%{ord(character):02X}")
    return text
