"""What `[tool.parity]` in pyproject.toml says: the pairs that `parity` checks when it is given none."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from parity.errors import NotCheckable


@dataclass(frozen=True)
class Settings:
    """The table `[tool.parity]`.

    Attributes:
        file: the pyproject.toml that it stands in; None where there is none.
        pairs: the pair files, absolute, in the order written.
    """

    file: Path | None = None
    pairs: tuple[Path, ...] = ()


def settings(start: Path) -> Settings:
    """The settings that hold in the folder `start`: of the nearest pyproject.toml upwards that has `[tool.parity]`.

    Raises:
        NotCheckable: a pyproject.toml on the way cannot be read, or its table is not as it should be.
    """
    start = start.resolve()
    for folder in (start, *start.parents):
        file = folder / "pyproject.toml"
        if file.is_file() and (table := _table(file)) is not None:
            return Settings(file, _pairs(file, table))
    return Settings()


def _table(file: Path) -> Any:
    try:
        content = tomllib.loads(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise NotCheckable(f"{file}: cannot be read: {error}") from error
    tools = content.get("tool")
    return tools.get("parity") if isinstance(tools, dict) else None


def _pairs(file: Path, table: Any) -> tuple[Path, ...]:
    if not isinstance(table, dict):
        raise NotCheckable(f'{file}: tool.parity is not a table: write [tool.parity] and below it pairs = ["FILE.py"]')
    if unknown := sorted(set(table) - {"pairs"}):
        raise NotCheckable(f"{file}: [tool.parity] has no setting {unknown[0]!r}: the only one is pairs")
    pairs = table.get("pairs", [])
    if not isinstance(pairs, list) or not all(isinstance(pair, str) for pair in pairs):
        raise NotCheckable(f'{file}: [tool.parity] pairs is not a list of pair files: write pairs = ["FILE.py"]')
    return tuple(file.parent / pair for pair in pairs)
