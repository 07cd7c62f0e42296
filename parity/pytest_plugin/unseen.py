"""What checks that agree did not see: below the results of a run, since pytest prints nothing of a green test."""

from __future__ import annotations

from collections.abc import Iterable

import pytest

from parity.pytest_plugin.annotation import said

PROPERTY = "parity_not_seen"
"""The name under which a test's report carries such a line, also into JUnit's XML."""


def unseen_lines(reports: Iterable[pytest.CollectReport | pytest.TestReport]) -> list[str]:
    """A line for each thing that no step of a check tried, behind the name of its test."""
    # A test has several reports, and each carries it.
    return [*dict.fromkeys(f"{report.nodeid}: {line}" for report in reports for line in said(report, PROPERTY))]
