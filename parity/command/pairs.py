"""Which pairs a command line asks for, and how the modules beside a pair file are found."""

from __future__ import annotations

import importlib
import os
import re
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path
from typing import NamedTuple

from parity.command.settings import IMPORT_PATH, Settings, settings
from parity.errors import NotCheckable
from parity.pair.importing import load_pair
from parity.pair.pair import Pair

PAIR_FILE = """\
from parity import Pair, random_batches
pair = Pair(
    torch=dict(model="mymodel:Net", loss="mymodel:loss",
               optimizer="mymodel:optimizer"),
    jax=dict(model="myport:Net", loss="myport:loss",
             optimizer="myport:optimizer"),
    batches=random_batches(images=(8, 3, 32, 32), labels=(8,),
                           classes=10, steps=20))"""
"""What a pair file says, for instance, in lines that any terminal has room for."""
_ON_ONE_LINE = " ".join(PAIR_FILE.replace("\n", "; ", 1).split()).replace("( ", "(")
_DEFINES_A_PAIR = re.compile(r"^pair\b[^=\n]*=(?!=)", re.MULTILINE)
NONE_CONFIGURED = (
    "no pair is configured: name a pair file, as in parity FILE.py, or list pair files in pyproject.toml as "
    f'[tool.parity] pairs = ["FILE.py"]; a pair file says: {_ON_ONE_LINE}'
)


class Chosen(NamedTuple):
    """A pair to check and where it is defined.

    Attributes:
        file: the file that defines it.
        pair: the pair.
        base: the folder in which modules are found, besides the pair file's own.
        path: its import path; empty where it was named by its file.
    """

    file: Path
    pair: Pair
    base: Path
    path: str = ""

    @property
    def pair_file(self) -> Path | None:
        """The pair file; None where the pair was named by an import path."""
        return None if self.path else self.file


def chosen_pairs(arguments: Sequence[str], start: Path, earlier: Iterable[Path] = ()) -> list[Chosen]:
    """The pairs that the arguments name, each once: a pair file, an import path, or the name of a configured pair.

    Without arguments these are all configured pairs. `earlier` are pair files that this process has checked before.

    Raises:
        NotCheckable: no pair is configured, none has that name, a file defines none, or two have one name.
    """
    configured = settings(start)
    if not arguments:
        if not configured.pairs:
            raise NotCheckable(NONE_CONFIGURED)
        named = list(configured.pairs)
    else:
        named = [_named(argument, configured, start) for argument in arguments]
    each_once = dict.fromkeys(one if isinstance(one, str) else one.resolve() for one in named)
    files = [*earlier, *(one for one in each_once if isinstance(one, Path))]
    found = [_loaded(one, files, configured, start) for one in each_once]
    called: dict[str, Chosen] = {}
    for chosen in found:
        other = called.setdefault(chosen.pair.name, chosen)
        if other is not chosen:
            raise NotCheckable(f"two pairs are called {chosen.pair.name}: {other.file} and {chosen.file}; rename one")
    return found


def _named(argument: str, configured: Settings, start: Path) -> Path | str:
    if IMPORT_PATH.fullmatch(argument):
        return argument
    if argument.endswith(".py") or "/" in argument or os.sep in argument:
        return start / argument
    names: list[str] = []
    files = [one for one in configured.pairs if isinstance(one, Path)]
    # A file of that name is tried first, so that a fault in another pair does not stand in the way.
    for one in sorted(configured.pairs, key=lambda one: isinstance(one, str) or one.stem != argument):
        pair = _loaded(one, files, configured, start).pair
        if pair.name == argument:
            return one
        names.append(pair.name)
    known = f"the configured pairs are {', '.join(sorted(names))}" if names else "no pair is configured"
    raise NotCheckable(f"no pair is called {argument!r}: {known}; a pair file's name ends in .py")


def _loaded(one: Path | str, others: Iterable[Path], configured: Settings, start: Path) -> Chosen:
    if isinstance(one, str):
        return _imported(one, configured.file.parent if configured.file else start)
    if not one.is_file():
        return Chosen(one, load_pair(one), start)
    with importable(one, start, others):
        return Chosen(one, load_pair(one), start)


def _imported(path: str, base: Path) -> Chosen:
    """The pair at an import path, whose module is looked up from `base` first."""
    module_name, _, name = path.partition(":")
    try:
        with importable(None, base):
            module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        raise NotCheckable(f"{path}: no module named {error.name!r}, neither in {base} nor installed") from error
    except NotCheckable:
        raise
    except Exception as error:
        raise NotCheckable(f"{path}: does not import: {type(error).__name__}: {error}") from error
    pair = getattr(module, name, None)
    if not isinstance(pair, Pair):
        raise NotCheckable(f"{path}: {module_name} defines no pair of that name; write {name} = Pair(...)")
    return Chosen(Path(module.__file__ or base), pair, base, path)


@contextmanager
def importable(file: Path | None, base: Path, others: Iterable[Path] = ()) -> Iterator[None]:
    """While it lasts, modules beside a pair file, if there is one, and in `base` are found first, as for a script.

    A pair file itself is found last: `pairs/unet.py` hides no module `unet`.

    Raises:
        NotCheckable: a module that stands beside this file was already imported from beside one of the `others`.
    """
    added = [str(base)]
    pair_files_last = None if file is None else _PairFilesLast(file)
    if pair_files_last:
        added.insert(0, str(pair_files_last.folder))
        sys.meta_path.insert(0, pair_files_last)
    sys.path[:0] = added
    try:
        if pair_files_last:
            _own_modules(pair_files_last, {other.resolve().parent for other in others})
        yield
    finally:
        if pair_files_last:
            sys.meta_path.remove(pair_files_last)
        for entry in added:
            if entry in sys.path:
                sys.path.remove(entry)


class _PairFilesLast:
    """Finds a module that `file`, or another pair file beside it, has the name of and would hide."""

    def __init__(self, file: Path) -> None:
        self.file, self.folder = file, file.resolve().parent

    def find_spec(self, name: str, path: Sequence[str] | None = None, target: object = None) -> ModuleSpec | None:
        """The module outside the folder; None where none is hidden there."""
        file = self.folder / f"{name}.py"
        if path is not None or not file.is_file() or not _DEFINES_A_PAIR.search(file.read_text("utf-8", "replace")):
            return None
        return PathFinder.find_spec(name, [entry for entry in sys.path if Path(entry).resolve() != self.folder])


def _own_modules(pair_files_last: _PairFilesLast, others: set[Path]) -> None:
    """Fail where Python would take another pair's module of the same name: the wrong model would be checked."""
    file, folder = pair_files_last.file, pair_files_last.folder
    for entry in folder.iterdir():
        if entry == file.resolve() or not (entry.suffix == ".py" or entry.is_dir()):
            continue
        if pair_files_last.find_spec(entry.stem):
            continue
        module = sys.modules.get(entry.stem)
        places = list(getattr(module, "__path__", [])) or [getattr(module, "__file__", None) or ""]
        for place in filter(None, places):
            if Path(place).resolve().parent in others - {folder}:
                raise NotCheckable(
                    f"{file}: the module {entry.stem} beside it is already imported from {place}: "
                    "check the two pairs in separate runs"
                )
