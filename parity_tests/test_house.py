"""The rules of the house that can be counted: how long a function and a file may be. CONTRIBUTING.md has them."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("torchnet", "jaxnet", "parity", "benchmarks", "parity_tests")
FUNCTION, FILE = 40, 350
"""A function is shorter than the first, from `def` to its last line with its docstring and without its decorators; a
file is no longer than the second."""


def too_long(file: Path) -> list[str]:
    """What is too long in a file."""
    text = file.read_text()
    found = [f"{count} lines: expected {FILE} or fewer"] if (count := len(text.splitlines())) > FILE else []
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            assert node.end_lineno is not None
            if (lines := node.end_lineno - node.lineno + 1) >= FUNCTION:
                found.append(f"{node.name}: {lines} lines: expected fewer than {FUNCTION}")
    return found


@pytest.mark.parametrize("package", PACKAGES)
def test_no_function_and_no_file_is_too_long(package: str) -> None:
    files = sorted((ROOT / package).rglob("*.py"))
    assert len(files) > 5
    assert [f"{file.relative_to(ROOT)}: {what}" for file in files for what in too_long(file)] == []


def function(lines: int) -> str:
    return "\n".join(["@cache", "def f():", '    """What it is."""', *["    x = 1"] * (lines - 2)]) + "\n"


@pytest.mark.parametrize(
    ("source", "complaints"),
    [
        (function(39), []),
        (function(40), ["f: 40 lines: expected fewer than 40"]),
        ("class C:\n" + "".join(f"    {line}\n" for line in function(41).splitlines()), ["f: 41 lines: expected"]),
        (function(40).replace("def", "async def"), ["f: 40 lines: expected"]),
        ("x = 1\n" * 350, []),
        ("x = 1\n" * 351, ["351 lines: expected 350 or fewer"]),
    ],
    ids=["39 lines", "40 lines", "a method", "a coroutine", "a file of 350", "a file of 351"],
)
def test_what_is_too_long_is_found(source: str, complaints: list[str], tmp_path: Path) -> None:
    (tmp_path / "planted.py").write_text(source)
    found = too_long(tmp_path / "planted.py")
    assert len(found) == len(complaints)
    assert all(said.startswith(complaint) for said, complaint in zip(found, complaints, strict=True))
