"""A file that is replaced whole or not at all."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from parity.errors import NotCheckable


@contextmanager
def replacing(file: Path, called: str) -> Iterator[Callable[[bytes], None]]:
    """A function that writes bytes to `file`: all of them are there afterwards, or what was there before.

    The new file is made at once, under another name beside it, so that a path that cannot be written fails before the
    long work. It is on the disk before it takes the other's place. `called` is how errors begin.

    Raises:
        NotCheckable: the folder is missing or cannot be written, the disk is full, or `file` is no regular file.
    """
    target = file.resolve()
    if target.exists() and not target.is_file():
        raise NotCheckable(f"{called} is not a regular file: name one that can be written")
    temporary = target.with_name(f".{target.name}.{os.getpid()}")

    def write(content: bytes) -> None:
        with _writing(called):
            with temporary.open("wb") as opened:
                opened.write(content)
                opened.flush()
                os.fsync(opened.fileno())
            os.replace(temporary, target)

    with _writing(called):
        temporary.touch(exist_ok=False)
    try:
        yield write
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def _writing(called: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise NotCheckable(f"{called} cannot be written: {error.strerror}") from error
