"""A project of a user, whose tests run in this process: what one of them imports must have been imported before."""

from __future__ import annotations

import pytest

from parity.judging.check import check
from parity.pytest_plugin import checking
from parity_tests.parity.pytest_plugin.made_project import Engine, Project
from parity_tests.parity.tiny import tiny


@pytest.fixture
def project(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> Project:
    monkeypatch.delenv("GITHUB_ACTIONS", raising=False)
    monkeypatch.setenv("COLUMNS", "100")
    return Project(pytester)


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch) -> Engine:
    made = Engine()
    monkeypatch.setattr(checking, "check", made.check)
    return made


@pytest.fixture(scope="module")
def real_engine(compiled_once: None) -> None:
    """The engine as it is, all of whose modules are loaded: a pytest inside this one forgets those that it loads."""
    check(tiny(1))
