"""What is finished of a benchmark, kept in its output folder one file a finding, so that a stopped one can go on."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open

from parity.errors import NotCheckable

try:
    import fcntl
except ImportError:  # pragma: no cover -- Windows
    fcntl = None  # type: ignore[assignment]

REQUEST = "request"
LOCK = ".lock"


@contextlib.contextmanager
def writing(file: Path, instead: str = "name another folder by --output") -> Iterator[None]:
    """Inside, what cannot be written is told in one line; `file` is for errors that name none.

    Raises:
        NotCheckable: it cannot, with what may be done instead.
    """
    try:
        yield
    except OSError as error:
        raise NotCheckable(
            f"{error.filename or file}: cannot be written ({error.strerror}): mend that, and the same command goes on "
            f"from there, or {instead}"
        ) from error


@contextlib.contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Inside, no other benchmark works in the folder. However the process ends, the system lets go of the lock.

    Raises:
        NotCheckable: another does, or the folder cannot be written.
    """
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
        lock = (folder / LOCK).open("w")
    with lock:
        try:
            if fcntl is not None:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise NotCheckable(
                f"{folder}: another benchmark is at work in it: wait for that one, or name another folder by --output"
            ) from error
        except OSError:
            # Some file systems have no locks.
            pass
        yield


class Store:
    """The folder of one benchmark. `warn` is told of each file in it that cannot be read, once.

    Raises:
        NotCheckable: the folder cannot be written, or holds what was found for another request.
    """

    def __init__(self, folder: Path, request: dict[str, Any], warn: Callable[[str], None] = lambda line: None) -> None:
        self.folder, self._warn = folder, warn
        self._unreadable: set[Path] = set()
        with writing(folder):
            (folder / "finished").mkdir(parents=True, exist_ok=True)
        before = self.need(REQUEST)
        if before is None:
            self.put(request, REQUEST)
        elif before != request:
            raise NotCheckable(
                f"{folder} holds another benchmark, which asked for something else: name another folder by --output, "
                "or remove this one"
            )

    def file(self, *names: str, suffix: str = ".json") -> Path:
        """Where a finding is kept."""
        return self.folder.joinpath("finished", *names[:-1], names[-1] + suffix)

    def get(self, *names: str) -> Any:
        """A finding; None where it is not there yet, or cannot be read."""
        file = self.file(*names)
        try:
            return _read(file)
        except (OSError, ValueError):
            self._cannot_read(file)
            return None

    def need(self, *names: str) -> Any:
        """A finding without which nobody knows what the others are of; None where it is not there yet.

        Raises:
            NotCheckable: it cannot be read.
        """
        file = self.file(*names)
        try:
            return _read(file)
        except (OSError, ValueError) as error:
            raise NotCheckable(
                f"{file}: cannot be read, and without it nobody knows what is in {self.folder}: "
                "name another folder by --output, or remove this one"
            ) from error

    def put(self, found: Any, *names: str) -> None:
        """Keep a finding: all of it or nothing, also if power is lost.

        Raises:
            NotCheckable: it cannot be written.
        """
        file = self.file(*names)
        temporary = file.with_suffix(".new")
        with writing(file):
            file.parent.mkdir(parents=True, exist_ok=True)
            with temporary.open("w", encoding="utf-8") as opened:
                opened.write(json.dumps(found, allow_nan=False) + "\n")
                opened.flush()
                # A file may have its new name on the disk before it has its content there.
                os.fsync(opened.fileno())
            temporary.replace(file)

    def put_once(self, found: Any, *names: str) -> None:
        """Keep a finding unless there is one."""
        if self.get(*names) is None:
            self.put(found, *names)

    def has_tensors(self, file: Path) -> bool:
        """Whether a file of tensors is there and can be read to its end."""
        if not file.exists():
            return False
        try:
            with safe_open(file, "np"):
                return True
        except (OSError, SafetensorError):
            self._cannot_read(file)
            return False

    def times(self) -> list[float]:
        """When the findings of cases were written, in seconds since the epoch, the first one first."""
        return sorted(file.stat().st_mtime for file in (self.folder / "finished").glob("*/*/*.json"))

    def _cannot_read(self, file: Path) -> None:
        if file not in self._unreadable:
            self._unreadable.add(file)
            self._warn(f"{file}: cannot be read, and counts as not there")


def _read(file: Path) -> Any:
    """What is in a file, None where there is none. Raises OSError or ValueError where it cannot be read."""
    if not file.exists():
        return None
    return json.loads(file.read_text(encoding="utf-8"), parse_constant=_refuse)


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is no finding")
