"""A made engine and a made project, for the tests of the command."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

import parity.judging.check  # noqa: F401 -- so that it is there to be replaced
from parity_tests.parity.command.made_engine import MADE, Engine


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch) -> Engine:
    made = Engine()
    monkeypatch.setattr(sys.modules["parity.judging.check"], "check", made.check)
    return made


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project with the pairs a and b, of which only b can be compared over seeds."""
    (tmp_path / "pyproject.toml").write_text('[tool.parity]\npairs = ["a.py", "b.py"]')
    (tmp_path / "a.py").write_text(MADE.format(name="a", torch=None, jax=None))
    equal = "made_seeds.normal(0.971)"
    (tmp_path / "b.py").write_text(MADE.format(name="b", torch=equal, jax=equal))
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("COLUMNS", raising=False)
    return tmp_path
