"""A file is replaced whole or not at all, also where the process is gone in the middle of it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from parity.errors import NotCheckable
from parity.replacing import replacing


def test_the_new_file_takes_the_place_of_the_old_one(tmp_path: Path) -> None:
    file = tmp_path / "kept"
    file.write_bytes(b"before")
    with replacing(file, "kept") as write:
        assert file.read_bytes() == b"before"
        write(b"after")
        assert file.read_bytes() == b"after"
    assert os.listdir(tmp_path) == ["kept"]


def test_the_old_file_stays_where_the_work_or_the_disk_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "kept"
    file.write_bytes(b"before")
    with pytest.raises(ZeroDivisionError), replacing(file, "kept"):
        raise ZeroDivisionError

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with (
        pytest.raises(NotCheckable, match="the file kept: cannot be written: No space left on device"),
        replacing(file, "the file kept:") as write,
    ):
        write(b"after")
    assert (os.listdir(tmp_path), file.read_bytes()) == (["kept"], b"before")


CRASH = """
import os, sys
from pathlib import Path
from parity.replacing import replacing
os.fsync = lambda _: os._exit(9)
with replacing(Path(sys.argv[1]), "kept") as write:
    write(b"after")
"""


def test_a_crash_in_the_middle_leaves_the_old_file(tmp_path: Path) -> None:
    file = tmp_path / "kept"
    file.write_bytes(b"before")
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])}
    done = subprocess.run([sys.executable, "-c", CRASH, str(file)], env=environment, check=False)
    assert (done.returncode, file.read_bytes()) == (9, b"before")
    with replacing(file, "kept") as write:
        write(b"after")
    assert file.read_bytes() == b"after"
