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
from pkgutil import get_importer

from parity.pair.pair import Side

ENGINE = __name__.partition(".")[0]
"""What the engine itself is called: it is no part of a side, whichever of its parts that imports."""
INSTALLED = {"site-packages", "dist-packages"}
"""Folders of what is installed: sysconfig knows neither a user's own nor those of the Python around an environment."""


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
    first, *inner = name.split(".")
    finders = (finder.find_spec(first, None) for finder in sys.meta_path if hasattr(finder, "find_spec"))
    found = next((spec for spec in finders if spec is not None), None)
    for end in range(2, len(inner) + 2):
        if found is None or found.submodule_search_locations is None:
            return None
        found = _inside(list(found.submodule_search_locations), ".".join(name.split(".")[:end]))
    return found


def _inside(folders: list[str], name: str) -> ModuleSpec | None:
    """A module of a package that lies in these folders.

    Python's own way through them asks for the package among the modules that are imported, where `name` is a folder
    without an `__init__.py`.
    """
    finders = [finder for folder in folders if (finder := get_importer(folder))]
    specs = [spec for finder in finders if (spec := finder.find_spec(name))]
    whole = next((spec for spec in specs if spec.loader), None)
    if whole or not specs:
        return whole
    spread = ModuleSpec(name, None, is_package=True)
    spread.submodule_search_locations = [place for spec in specs for place in spec.submodule_search_locations or ()]
    return spread


def _own_file(spec: ModuleSpec) -> Path | None:
    file = Path(spec.origin or "")
    if not spec.has_location or file.suffix != ".py" or not file.is_file():
        return None
    paths = sysconfig.get_paths()
    others = {Path(paths[name]) for name in ("stdlib", "platstdlib", "purelib", "platlib")}
    return None if others & set(file.parents) or INSTALLED & set(file.parts) else file


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
