"""docs/port.md as a reader follows it: its files are written, its changes made, its commands run, one after the other.

`python -m parity_tests.parity.port_document` writes into the page what the commands print here.
"""

from __future__ import annotations

import importlib
import io
import re
import runpy
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import chdir, contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path
from typing import NamedTuple

import pytest

from parity.command.app import main as parity
from parity.command.pairs import importable
from parity.recording import STAGES
from parity_tests.imports import FRAMEWORKS
from parity_tests.test_isolation import python

DOCUMENT = Path(__file__).parents[2] / "docs" / "port.md"
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
COMMAND = re.compile(r"^\$ (.*)\n((?:(?!\$ ).*\n)*)", re.MULTILINE)
ALONE = "import os\nos.chdir({folder!r})\nfrom parity.command.app import main\nsys.exit(main({arguments!r}))"
"""A command of `parity` where one framework is not there."""
FIGURES = (*STAGES, "free-running")
"""How lines begin of which every number is measured."""


class Ran(NamedTuple):
    """A command of the page, what the page says that it prints, what it printed, and its exit status."""

    command: str
    said: str
    printed: str
    status: int


def text() -> str:
    """The page."""
    return DOCUMENT.read_text(encoding="utf-8")


def commands(content: str) -> list[tuple[str, str]]:
    """Every command with what the page says that it prints."""
    return [found for kind, block in BLOCK.findall(content) if kind == "console" for found in COMMAND.findall(block)]


def follow(content: str, folder: Path) -> Iterator[Ran]:
    """Do in `folder` what the page says, block by block."""
    for kind, block in BLOCK.findall(content):
        first, _, rest = block.partition("\n")
        file = folder / first.removeprefix("# ")
        if kind == "python":
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(block)
        elif kind == "diff":
            file.write_text(changed(file.read_text(), rest))
        elif kind == "console":
            yield from (Ran(line, said, *run(line, folder)) for line, said in COMMAND.findall(block))


def changed(content: str, change: str) -> str:
    """The content of a file after a change, a line with ` `, `-` or `+` before each of its lines."""
    lines = change.splitlines(keepends=True)
    before, after = ("".join(line[1:] for line in lines if line[0] in marks) for marks in (" -", " +"))
    if content.count(before) != 1:
        raise ValueError(f"the page changes what is not there once: {before}")
    return content.replace(before, after)


def run(line: str, folder: Path) -> tuple[str, int]:
    """What a command prints, and its exit status. Each finds the files as they are now, as a new process would."""
    program, *arguments = shlex.split(line)
    if program == "pytest":
        command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *arguments]
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, timeout=300)
        return done.stdout + done.stderr, done.returncode
    if "--against" in arguments:
        done = python(ALONE.format(folder=str(folder), arguments=arguments), FRAMEWORKS["torch"], [])
        return done.stdout + done.stderr, done.returncode
    printed = io.StringIO()
    with _fresh(folder), redirect_stdout(printed), redirect_stderr(printed):
        if program == "python":
            with importable(None, Path.cwd()):
                runpy.run_path(arguments[0], run_name="__main__")
            status = 0
        else:
            status = parity(arguments)
    return printed.getvalue(), status


@contextmanager
def _fresh(folder: Path) -> Iterator[None]:
    """In the folder, with no module of its imported yet."""
    for name, module in list(sys.modules.items()):
        if str(getattr(module, "__file__", None) or "").startswith(str(folder)):
            del sys.modules[name]
    importlib.invalidate_caches()
    with chdir(folder), pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "dont_write_bytecode", True)
        yield


@contextmanager
def as_on_the_page() -> Iterator[pytest.MonkeyPatch]:
    """Output as wide as the page has it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("COLUMNS", "100")
        patch.setenv("NO_COLOR", "1")
        patch.delenv("GITHUB_ACTIONS", raising=False)
        patch.delenv("PYTEST_ADDOPTS", raising=False)
        yield patch


def masked(printed: str) -> str:
    """The text without what is another machine's: measured figures, seconds, versions, and spaces."""
    lines = []
    for line in printed.strip().splitlines():
        if line.startswith(FIGURES):
            line = re.sub(r"(?<![\w.])\d+(\.\d+)?(e[+-]?\d+)?(?![\w.])|\binf\b", "#", line)
        line = re.sub(r" \(\d+:\d\d:\d\d\)$", "", line)
        line = re.sub(r"\b(torch|jax) \d[\w.+]*", r"\1 #", line)
        line = re.sub(r"(?<![\w.])(\d+(\.\d+)?e[+-]?\d+|\d+\.\d+|\d+(?= s\)))", "#", line)
        lines.append(re.sub(r" +", " ", line).strip())
    return "\n".join(lines)


def filled(content: str, ran: list[Ran]) -> str:
    """The page with what every command has printed."""
    printed = iter(ran)

    def with_output(found: re.Match[str]) -> str:
        if found[1] != "console":
            return found[0]
        blocks = []
        for _ in COMMAND.findall(found[2]):
            one = next(printed)
            output = "\n".join(line.rstrip() for line in one.printed.strip().splitlines())
            blocks.append(f"$ {one.command}\n" + (f"{output}\n" if output else ""))
        return "```console\n" + "".join(blocks) + "```"

    return BLOCK.sub(with_output, content)


def main() -> None:
    """Write what the commands print into the page."""
    content = text()
    with tempfile.TemporaryDirectory() as folder, as_on_the_page():
        ran = list(follow(content, Path(folder).resolve()))
    DOCUMENT.write_text(filled(content, ran), encoding="utf-8")


if __name__ == "__main__":
    main()
