"""What is finished stays, whole, and under the request that it was found for."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.store import Store
from parity.errors import NotCheckable


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
