"""A made project whose tests check pairs, run by a pytest of its own, and a stand-in for the engine."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from parity.pytest_plugin import plugin
from parity.verdict import Verdict
from parity_tests.parity.made_verdicts import agreeing

MADE = """
from parity_tests.parity import made_verdicts
pair = made_verdicts.pair("{name}")
"""
TINY = """
import optax
from parity import Pair, Side
from parity_tests.parity import tiny_jax, tiny_torch

torch, jax = (f"parity_tests.parity.tiny_{{side}}" for side in ("torch", "jax"))
pair = Pair(
    name="tiny", steps=1, labels="labels",
    torch=Side.from_module(torch, optimizer=f"{{torch}}:optimizer"),
    jax=Side.from_module(jax, **{{"optimizer": f"{{jax}}:optimizer"}} | {parts}),
)
"""
"""The tiny pair as a pair file, with other parts of its JAX side."""
PYPROJECT = """
[tool.pytest.ini_options]
strict = true
filterwarnings = ["error"]
[tool.parity]
"""
# The plugin is handed over as it is imported here, and so not looked for among the installed ones.
WITHOUT = ("-p", "no:parity", "-p", "no:hypothesispytest", "-p", "no:cacheprovider")

Outcome = Callable[[str], Verdict] | Exception


class Engine:
    """Stands in for the engine: gives verdicts by the name of the pair, and keeps what it was asked."""

    def __init__(self) -> None:
        self.outcomes: dict[str, Outcome] = {}
        self.asked: list[dict[str, Any]] = []

    def check(self, pair: Any, **conditions: Any) -> Verdict:
        self.asked.append({"pair": pair.name} | conditions)
        outcome = self.outcomes.get(pair.name, agreeing)
        if isinstance(outcome, Exception):
            raise outcome
        return outcome(pair.name)


class Project:
    """A folder with pyproject.toml, pairs and tests."""

    def __init__(self, pytester: pytest.Pytester) -> None:
        self.pytester = pytester
        self.folder = pytester.path
        self.configure()
        self.pair("pairs/a.py", "a")

    def configure(self, parity: str = "") -> None:
        """Write pyproject.toml, with these settings of `[tool.parity]`."""
        (self.folder / "pyproject.toml").write_text(PYPROJECT + parity)

    def pair(self, file: str, name: str) -> Path:
        """Write a pair file of which nothing is used but the name."""
        return self.write(file, MADE.format(name=name))

    def write(self, file: str, content: str) -> Path:
        """Write a file of the project."""
        path = self.folder / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
        return path

    def test(self, call: str, decorated: str = "") -> None:
        """Write a test that does this with the fixture, and with `pytest` at hand."""
        marks = f"{decorated}\n" if decorated else ""
        self.write("tests/test_port.py", f"import pytest\n\n{marks}def test_port(parity_check):\n    {call}\n")

    def run(self, *arguments: str) -> pytest.RunResult:
        """What pytest makes of the project's tests."""
        return self.pytester.runpytest_inprocess(*WITHOUT, *arguments, plugins=[plugin])

    def failure(self, *arguments: str) -> list[str]:
        """The lines of the one failed test: what pytest prints between its heading and its summary."""
        result = self.run(*arguments)
        result.assert_outcomes(failed=1)
        lines = result.outlines
        begin = next(index for index, line in enumerate(lines) if line.strip("_").strip() == "test_port")
        end = next(index for index, line in enumerate(lines) if "short test summary info" in line)
        return lines[begin + 1 : end]
