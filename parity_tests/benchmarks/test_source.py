"""The hash of the code changes with the code, and with nothing else."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.source import source


def test_it_is_of_the_code_by_name_and_content(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    inner = tmp_path / "made_package" / "inner"
    inner.mkdir(parents=True)
    file = inner / "timed.py"
    file.write_text("raise RuntimeError('not to be imported')\n")
    (inner.parent / "__init__.py").write_text("raise RuntimeError('not to be imported')\n")
    hashes = [source(("made_package",))]
    (inner / "notes.txt").touch()
    assert source(("made_package", "no_such_package")) == hashes[0]
    file.write_text("1\n")
    hashes.append(source(("made_package",)))
    file.rename(inner / "other.py")
    hashes.append(source(("made_package",)))
    assert len(set(hashes)) == 3
    assert all(len(found) == 12 for found in hashes)


def test_the_code_that_is_timed_is_found() -> None:
    packages = ("benchmarks", "jaxnet", "parity", "torchnet")
    assert len({source(), source(()), *(source((package,)) for package in packages)}) == 6
