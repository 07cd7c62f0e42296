"""What `[tool.parity]` in pyproject.toml says: a project's pairs, and how they are checked if nothing else is said."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from parity.errors import NotCheckable
from parity.pair.dtypes import dtypes_fault
from parity.recording import USUAL_LOOPS, Device

IMPORT_PATH = re.compile(r"[^\W\d][\w.]*:[^\W\d]\w*")
"""What tells `package.module:name` from a file and from the name of a pair."""
NAMES = ("pairs", "seed", "device", "loops")


@dataclass(frozen=True)
class Settings:
    """The table `[tool.parity]`.

    Attributes:
        file: the pyproject.toml that it stands in; None where there is none.
        pairs: the pair files, absolute, and import paths, in the order written.
        seed: what data, initial parameters and batches are drawn from.
        device: where both sides run.
        loops: which of the sides' own loops are driven; None: all.
    """

    file: Path | None = None
    pairs: tuple[Path | str, ...] = ()
    seed: int = 0
    device: Device = "cpu"
    loops: tuple[str, ...] | None = USUAL_LOOPS


def settings(start: Path) -> Settings:
    """The settings that hold in the folder `start`: of the nearest pyproject.toml upwards that has `[tool.parity]`.

    Raises:
        NotCheckable: a pyproject.toml on the way cannot be read, or its table is not as it should be.
    """
    start = start.resolve()
    for folder in (start, *start.parents):
        file = folder / "pyproject.toml"
        if file.is_file() and (table := _table(file)) is not None:
            return _settings(file, table)
    return Settings()


def _table(file: Path) -> Any:
    try:
        content = tomllib.loads(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise NotCheckable(f"{file}: cannot be read: {error}") from error
    tools = content.get("tool")
    return tools.get("parity") if isinstance(tools, dict) else None


def _settings(file: Path, table: Any) -> Settings:
    if not isinstance(table, dict):
        raise NotCheckable(f'{file}: tool.parity is not a table: write [tool.parity] and below it pairs = ["FILE.py"]')
    if unknown := sorted(set(table) - set(NAMES)):
        raise NotCheckable(f"{file}: [tool.parity] has no setting {unknown[0]!r}: there are {', '.join(NAMES)}")
    pairs = table.pop("pairs", [])
    if not isinstance(pairs, list) or not all(isinstance(pair, str) for pair in pairs):
        raise NotCheckable(f'{file}: [tool.parity] pairs is not a list of pair files: write pairs = ["FILE.py"]')
    named = tuple(pair if IMPORT_PATH.fullmatch(pair) else file.parent / pair for pair in pairs)
    return Settings(file, named, **conditions(table, f"{file}: [tool.parity]"))


def conditions(given: Mapping[str, Any], where: str) -> dict[str, Any]:
    """Conditions of a check as `check` takes them; `where` they were given stands at the beginning of the error.

    Raises:
        NotCheckable: a value is none that its condition can have.
    """
    for name, value in given.items():
        if name not in _VALUES:
            raise NotCheckable(f"{where} there is no {name!r}: there are {', '.join(_VALUES)}")
        may_be, expected = _VALUES[name]
        if not may_be(value):
            raise NotCheckable(f"{where} {name} is {value!r}: expected {expected}")
    found = dict(given)
    if "loops" in found:
        found["loops"] = None if found["loops"] in ("all", None) else tuple(found["loops"])
    return found


def _are_names(value: Any) -> bool:
    return isinstance(value, list | tuple) and all(isinstance(name, str) for name in value)


_VALUES: dict[str, tuple[Callable[[Any], bool], str]] = {
    "seed": (lambda value: type(value) is int and value >= 0, "a whole number, 0 or more"),
    "device": (lambda value: value in ("cpu", "gpu"), "'cpu' or 'gpu'"),
    "loops": (lambda value: value in ("all", None) or _are_names(value), "a list of names, or 'all'"),
    "dtypes": (
        lambda value: _are_names(value) and not dtypes_fault(value, ()),
        "('float64',), or that with 'float32' and 'bfloat16'",
    ),
}
"""Of each condition, which values it can have, and how to say that."""
