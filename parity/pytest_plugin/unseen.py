"""What checks that agree did not see: below the results of a run, since pytest prints nothing of a green test."""

from __future__ import annotations

from collections.abc import Iterable

import pytest

PROPERTY = "parity_not_seen"
"""The name under which a test's report carries such a line, also into JUnit's XML."""


def unseen_lines(reports: Iterable[pytest.CollectReport | pytest.TestReport]) -> list[str]:
    """A line for each thing that no step of a check tried, behind the name of its test."""
    found = {
        (report.nodeid, value): None
        for report in reports
        for name, value in getattr(report, "user_properties", ())
        if name == PROPERTY
    }
    return [f"{test}: {line}" for test, line in found]
