"""`[tool.parity]`: found upwards, and every fault in it told in one line."""

from __future__ import annotations

from pathlib import Path

import pytest

from parity.command.settings import Settings, settings
from parity.errors import NotCheckable

ROOT = Path(__file__).parents[3]


def write(folder: Path, content: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / "pyproject.toml"
    file.write_text(content)
    return file


def test_the_project_lists_its_three_pairs() -> None:
    found = settings(ROOT / "parity_tests" / "pairs")
    assert found.file == ROOT / "pyproject.toml"
    assert [pair.name for pair in found.pairs] == ["line_fit.py", "mlp.py", "mnist.py"]
    assert all(pair.is_file() for pair in found.pairs)


def test_the_nearest_table_counts_and_files_without_one_do_not(tmp_path: Path) -> None:
    outer = write(tmp_path, '[tool.parity]\npairs = ["outer.py"]')
    write(tmp_path / "a", "[project]\nname = 'a'")
    write(tmp_path / "a" / "b" / "c", "tool = 3")
    inner = write(tmp_path / "a" / "b", '[tool.parity]\npairs = ["pairs/x.py", "y.py"]')
    assert settings(tmp_path / "a") == Settings(outer, (tmp_path / "outer.py",))
    assert settings(tmp_path / "a" / "b" / "c") == Settings(
        inner, (inner.parent / "pairs" / "x.py", inner.parent / "y.py")
    )


def test_no_pyproject_means_no_pairs(tmp_path: Path) -> None:
    assert settings(tmp_path) == Settings(None, ())


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("[tool.parity\n", "cannot be read"),
        ("[tool]\nparity = 3", "is not a table"),
        ("[tool.parity]\npair = []", "has no setting 'pair'"),
        ("[tool.parity]\npairs = 'x.py'", "is not a list of pair files"),
        ("[tool.parity]\npairs = [1]", "is not a list of pair files"),
    ],
)
def test_a_fault_names_the_file_and_what_is_expected(tmp_path: Path, content: str, message: str) -> None:
    file = write(tmp_path, content)
    with pytest.raises(NotCheckable, match=message) as raised:
        settings(tmp_path)
    assert str(raised.value).startswith(str(file))


def test_an_unreadable_encoding_is_a_fault(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(NotCheckable, match="cannot be read"):
        settings(tmp_path)
