"""What is finished stays, whole, and under the request that it was found for."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

import benchmarks.store
from benchmarks.store import Store, alone, writing
from parity.errors import NotCheckable

DAMAGED = {"empty": b"", "truncated": b'{"seconds": 0.', "binary": b"\x80\x00\xff", "NaN": b'{"seconds": NaN}'}
"""What power loss and the like leave of a finding."""


def test_a_finding_is_there_for_the_next_store_of_the_request(tmp_path: Path) -> None:
    Store(tmp_path, {"quick": True}).put({"seconds": 1.5}, "case", "entry", "run-000")
    again = Store(tmp_path, {"quick": True})
    assert again.get("case", "entry", "run-000") == {"seconds": 1.5}
    assert again.get("case", "entry", "run-001") is None
    assert not list(tmp_path.rglob("*.new"))


def test_what_is_put_once_stays(tmp_path: Path) -> None:
    store = Store(tmp_path, {})
    store.put_once(1, "begun")
    store.put_once(2, "begun")
    assert store.get("begun") == 1


def test_the_folder_of_another_request_is_refused(tmp_path: Path) -> None:
    Store(tmp_path, {"rounds": 3})
    with pytest.raises(NotCheckable, match="holds another benchmark, which asked for something else"):
        Store(tmp_path, {"rounds": 4})


def test_a_folder_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(NotCheckable, match="cannot be written"):
        Store(tmp_path / "file", {})
    with pytest.raises(NotCheckable, match="cannot be written"), alone(tmp_path / "file" / "below"):
        pass


@pytest.mark.parametrize("content", DAMAGED.values(), ids=DAMAGED)
def test_a_finding_that_cannot_be_read_is_not_there_and_is_told_once(content: bytes, tmp_path: Path) -> None:
    told: list[str] = []
    store = Store(tmp_path, {}, told.append)
    store.put(1, "case", "entry", "run-000")
    file = store.file("case", "entry", "run-000")
    file.write_bytes(content)
    assert store.get("case", "entry", "run-000") is store.get("case", "entry", "run-000") is None
    assert told == [f"{file}: cannot be read, and counts as not there"]
    store.put_once(2, "case", "entry", "run-000")
    assert store.get("case", "entry", "run-000") == 2


@pytest.mark.parametrize("content", DAMAGED.values(), ids=DAMAGED)
def test_what_the_findings_are_of_has_to_be_readable(content: bytes, tmp_path: Path) -> None:
    store = Store(tmp_path, {})
    store.file("machine").write_bytes(content)
    with pytest.raises(NotCheckable, match=r"machine\.json: cannot be read, .* name another folder"):
        store.need("machine")
    assert store.need("source") is None
    store.file("request").write_bytes(content)
    with pytest.raises(NotCheckable, match=r"request\.json: cannot be read, .* name another folder"):
        Store(tmp_path, {})


def test_a_finding_is_on_the_disk_before_it_has_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = Store(tmp_path, {})
    there: list[bool] = []
    monkeypatch.setattr(os, "fsync", lambda _: there.append(store.file("begun").exists()))
    store.put(1, "begun")
    assert there == [False]
    assert store.get("begun") == 1


def test_a_full_disk_is_one_line_that_names_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    store = Store(tmp_path, {})
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(NotCheckable, match=r"/begun\.json: cannot be written \(No space left on device\): mend"):
        store.put(1, "begun")


def test_an_error_that_names_no_file_is_told_of_the_one_that_was_written(tmp_path: Path) -> None:
    with pytest.raises(NotCheckable, match=r"one: cannot be written \(too many open files\)"), writing(Path("one")):
        raise OSError(errno.EMFILE, "too many open files")
    with pytest.raises(NotCheckable, match="nowhere/file: cannot be written"), writing(Path("one")):
        (tmp_path / "nowhere" / "file").touch()


@pytest.mark.parametrize("content", [b"", bytes(64), b"a judge", None], ids=["empty", "zeros", "text", "truncated"])
def test_tensors_are_there_if_they_can_be_read(content: bytes | None, tmp_path: Path) -> None:
    told: list[str] = []
    store = Store(tmp_path, {}, told.append)
    file = store.file("judge", suffix=".safetensors")
    assert not store.has_tensors(file)
    save_file({"losses": np.zeros(100)}, file)
    assert store.has_tensors(file)
    assert told == []
    file.write_bytes(file.read_bytes()[:-8] if content is None else content)
    assert not store.has_tensors(file)
    assert told == [f"{file}: cannot be read, and counts as not there"]


def test_a_folder_is_for_one_benchmark_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with alone(tmp_path):
        with pytest.raises(NotCheckable, match="another benchmark is at work in it"), alone(tmp_path):
            pass
        monkeypatch.setattr(benchmarks.store, "fcntl", None)
        with alone(tmp_path):
            pass
    monkeypatch.undo()
    with alone(tmp_path):
        pass


def test_the_times_are_those_of_findings_of_cases(tmp_path: Path) -> None:
    store = Store(tmp_path, {})
    assert store.times() == []
    for index, name in enumerate(("run-000", "run-001")):
        store.put(1, "case", "entry", name)
        os.utime(store.file("case", "entry", name), (100 - index, 100 - index))
    assert store.times() == [99, 100]
