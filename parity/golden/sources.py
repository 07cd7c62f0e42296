"""Digests of the code that a side is made of, found and read without importing it."""

from __future__ import annotations

import ast
import hashlib
import sys
import sysconfig
from collections.abc import Iterator
from dataclasses import fields
from importlib.machinery import ModuleSpec
from importlib.util import resolve_name
from pathlib import Path

from parity.pair import Side

ENGINE = __name__.partition(".")[0]
"""What the engine itself is called: it is no part of a side, whichever of its parts that imports."""


def sources(side: Side) -> dict[str, str]:
    """SHA-256, in hexadecimal digits, of each module that a side names by import path and of those that it imports.

    What Python came with, what is installed beside it and the engine itself are left out, and so is what is no file of
    Python's. A part that is a function has no import path.
    """
    parts = (getattr(side, part.name) for part in fields(side))
    waiting = [part.partition(":")[0] for part in parts if isinstance(part, str) and ":" in part]
    found: dict[str, str] = {}
    while waiting:
        name = waiting.pop()
        spec = None if name in found or name.partition(".")[0] == ENGINE else _spec(name)
        if spec is not None and (file := _own_file(spec)):
            found[name] = _digest(file)
            waiting += _imported(file, name if spec.submodule_search_locations else name.rpartition(".")[0])
    return dict(sorted(found.items()))


def changed_since(recorded: dict[str, str]) -> list[str]:
    """The modules of `sources` that are found here and are others than they were then."""
    files = {name: _own_file(spec) for name in recorded if (spec := _spec(name)) is not None}
    return [name for name, file in files.items() if file and _digest(file) != recorded[name]]


def _digest(file: Path) -> str:
    # A checkout may have other ends of lines.
    return hashlib.sha256(file.read_bytes().replace(b"\r\n", b"\n")).hexdigest()


def _spec(name: str) -> ModuleSpec | None:
    """Where a module is. Unlike `importlib.util.find_spec`, this does not import the packages that it is in."""
    path = None
    found = None
    for end in range(1, name.count(".") + 2):
        part = ".".join(name.split(".")[:end])
        finders = (finder.find_spec(part, path) for finder in sys.meta_path if hasattr(finder, "find_spec"))
        found = next((spec for spec in finders if spec is not None), None)
        if found is None:
            return None
        path = found.submodule_search_locations
        if path is None and part != name:
            return None
    return found


def _own_file(spec: ModuleSpec) -> Path | None:
    file = Path(spec.origin or "")
    if not spec.has_location or file.suffix != ".py" or not file.is_file():
        return None
    paths = sysconfig.get_paths()
    others = {Path(paths[name]) for name in ("stdlib", "platstdlib", "purelib", "platlib")}
    return None if others & set(file.parents) else file


def _imported(file: Path, package: str) -> Iterator[str]:
    """The names of modules that a file of a package may import, read from its text; some may be no modules."""
    try:
        tree = ast.parse(file.read_bytes())
    except (SyntaxError, ValueError):
        return
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and (package or not node.level):
            try:
                module = resolve_name("." * node.level + (node.module or ""), package)
            except ImportError:
                continue
            yield module
            yield from (f"{module}.{alias.name}" for alias in node.names)
