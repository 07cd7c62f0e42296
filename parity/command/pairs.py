"""Which pairs a command line asks for, and how the modules beside a pair file are found."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from parity.command.settings import Settings, settings
from parity.errors import NotCheckable
from parity.pair import Pair, load_pair

NONE_CONFIGURED = (
    "no pair is configured: name a pair file, as in parity FILE.py, or list pair files in pyproject.toml as "
    '[tool.parity] pairs = ["FILE.py"]; a pair file says: from parity import Pair, Side; '
    "pair = Pair(name=..., torch=Side(...), jax=Side(...))"
)


class Chosen(NamedTuple):
    """A pair to check and the file that defines it."""

    file: Path
    pair: Pair


def chosen_pairs(arguments: Sequence[str], start: Path) -> list[Chosen]:
    """The pairs that the arguments name, each once: a pair file, or the name of a configured pair; all if none.

    Raises:
        NotCheckable: no pair is configured, none has that name, a file defines none, or two have one name.
    """
    configured = settings(start)
    if not arguments:
        if not configured.pairs:
            raise NotCheckable(NONE_CONFIGURED)
        files = list(configured.pairs)
    else:
        files = [_file(argument, configured, start) for argument in arguments]
    found = [_loaded(file, files) for file in dict.fromkeys(file.resolve() for file in files)]
    named: dict[str, Chosen] = {}
    for chosen in found:
        other = named.setdefault(chosen.pair.name, chosen)
        if other is not chosen:
            raise NotCheckable(f"two pairs are called {chosen.pair.name}: {other.file} and {chosen.file}; rename one")
    return found


def _file(argument: str, configured: Settings, start: Path) -> Path:
    if argument.endswith(".py") or "/" in argument or os.sep in argument:
        return start / argument
    names: list[str] = []
    # A file of that name is tried first, so that a fault in another pair does not stand in the way.
    for file in sorted(configured.pairs, key=lambda file: file.stem != argument):
        pair = _loaded(file, configured.pairs).pair
        if pair.name == argument:
            return file
        names.append(pair.name)
    known = f"the configured pairs are {', '.join(sorted(names))}" if names else "no pair is configured"
    raise NotCheckable(f"no pair is called {argument!r}: {known}; a pair file's name ends in .py")


def _loaded(file: Path, others: Iterable[Path]) -> Chosen:
    if not file.is_file():
        return Chosen(file, load_pair(file))
    with importable(file, others):
        return Chosen(file, load_pair(file))


@contextmanager
def importable(file: Path, others: Iterable[Path] = ()) -> Iterator[None]:
    """While it lasts, modules beside a pair file and in the current folder are found first, as for a script.

    Raises:
        NotCheckable: a module that stands beside this file was already imported from beside one of the `others`.
    """
    folder = file.resolve().parent
    _own_modules(file, folder, {other.resolve().parent for other in others} - {folder})
    added = [str(folder), str(Path.cwd())]
    sys.path[:0] = added
    try:
        yield
    finally:
        for entry in added:
            if entry in sys.path:
                sys.path.remove(entry)


def _own_modules(file: Path, folder: Path, others: set[Path]) -> None:
    """Fail where Python would take another pair's module of the same name: the wrong model would be checked."""
    for entry in folder.iterdir():
        if entry == file.resolve() or not (entry.suffix == ".py" or entry.is_dir()):
            continue
        module = sys.modules.get(entry.stem)
        places = list(getattr(module, "__path__", [])) or [getattr(module, "__file__", None) or ""]
        for place in filter(None, places):
            if Path(place).resolve().parent in others:
                raise NotCheckable(
                    f"{file}: the module {entry.stem} beside it is already imported from {place}: "
                    "check the two pairs in separate runs"
                )
