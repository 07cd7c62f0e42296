"""What pytest loads: an option, a marker, the fixture `parity_check`, and what stands below the results of a run.

Loaded by every pytest of the environment, whether it checks a pair or not: whatever else is needed, NumPy and the
frameworks included, is imported when the fixture is asked for.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from parity.pytest_plugin.annotation import error_lines
from parity.pytest_plugin.unseen import unseen_lines

if TYPE_CHECKING:
    from parity.pytest_plugin.checking import ParityCheck

MARKER = (
    "parity(device='gpu', dtypes=('float64',)): where `parity_check` runs the two sides in this test, and what it "
    "compares; either may be left out"
)


def pytest_addoption(parser: pytest.Parser) -> None:
    """`--parity-bundles DIR`."""
    parser.getgroup("parity", "PyTorch and JAX (parity)").addoption(
        "--parity-bundles", metavar="DIR",
        help="where a failed check leaves its recordings, its verdict and how to run it again (default: .parity beside "
        "the tests' configuration)",
    )  # fmt: skip


def pytest_configure(config: pytest.Config) -> None:
    """The marker `parity` is known, also where unknown ones are errors."""
    config.addinivalue_line("markers", MARKER)


@pytest.fixture
def parity_check(request: pytest.FixtureRequest) -> ParityCheck:
    """Checks that the two sides of a pair agree: `parity_check("pairs/my_port.py")`.

    Takes a pair file, an import path, the name of a pair that pyproject.toml lists, or a pair; and by name what differs
    from `[tool.parity]`: seed, device, loops, dtypes. Gives the verdict where it is `agree`; fails the test elsewhere.
    """
    from parity.pytest_plugin.checking import ParityCheck

    return ParityCheck(request.node)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """What green checks did not see; where GitHub runs the tests, an annotation for each test that failed at one."""
    if lines := unseen_lines(terminalreporter.getreports("passed")):
        terminalreporter.section("not seen by checks that agree")
        for line in lines:
            terminalreporter.write_line(line)
    if os.environ.get("GITHUB_ACTIONS"):
        workspace = os.environ.get("GITHUB_WORKSPACE", "")
        failed = [*terminalreporter.getreports("failed"), *terminalreporter.getreports("error")]
        for line in error_lines(failed, terminalreporter.config.rootpath, workspace):
            terminalreporter.write_line(line)
