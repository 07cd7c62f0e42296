"""`[tool.parity]`: found upwards, and every fault in it told in one line."""

from __future__ import annotations

from inspect import signature
from pathlib import Path

import pytest

from parity.command.settings import Settings, settings
from parity.errors import NotCheckable
from parity.judging.check import check

ROOT = Path(__file__).parents[3]


def write(folder: Path, content: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / "pyproject.toml"
    file.write_text(content)
    return file


def test_the_project_lists_its_three_pairs() -> None:
    found = settings(ROOT / "parity_tests" / "pairs")
    assert found.file == ROOT / "pyproject.toml"
    files = [pair for pair in found.pairs if isinstance(pair, Path) and pair.is_file()]
    assert [file.name for file in files] == ["line_fit.py", "mlp.py", "mnist.py"]


def test_the_nearest_table_counts_and_files_without_one_do_not(tmp_path: Path) -> None:
    outer = write(tmp_path, '[tool.parity]\npairs = ["outer.py"]')
    write(tmp_path / "a", "[project]\nname = 'a'")
    write(tmp_path / "a" / "b" / "c", "tool = 3")
    inner = write(tmp_path / "a" / "b", '[tool.parity]\npairs = ["pairs/x.py", "y.py"]')
    assert settings(tmp_path / "a") == Settings(outer, (tmp_path / "outer.py",))
    assert settings(tmp_path / "a" / "b" / "c") == Settings(
        inner, (inner.parent / "pairs" / "x.py", inner.parent / "y.py")
    )


def test_an_import_path_is_told_from_a_file(tmp_path: Path) -> None:
    write(tmp_path, '[tool.parity]\npairs = ["package.module:pair", "pair:s.py", "module"]')
    assert settings(tmp_path).pairs == ("package.module:pair", tmp_path / "pair:s.py", tmp_path / "module")


def test_conditions_of_every_check(tmp_path: Path) -> None:
    write(tmp_path, '[tool.parity]\nseed = 3\ndevice = "gpu"\nloops = ["stepped"]')
    found = settings(tmp_path)
    assert (found.pairs, found.seed, found.device, found.loops) == ((), 3, "gpu", ("stepped",))
    write(tmp_path, '[tool.parity]\nloops = "all"')
    found = settings(tmp_path)
    assert (found.seed, found.device, found.loops) == (0, "cpu", None)


def test_no_pyproject_means_no_pairs_and_the_conditions_that_check_itself_has(tmp_path: Path) -> None:
    found = settings(tmp_path)
    assert found == Settings(None, ())
    usual = {name: parameter.default for name, parameter in signature(check).parameters.items()}
    assert (found.seed, found.device, found.loops) == (usual["seed"], usual["device"], usual["loops"])


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("[tool.parity\n", "cannot be read"),
        ("[tool]\nparity = 3", "is not a table"),
        ("[tool.parity]\npair = []", "has no setting 'pair': there are pairs, seed, device, loops"),
        ("[tool.parity]\ndtypes = ['float64']", "has no setting 'dtypes'"),
        ("[tool.parity]\nseed = -1", "seed is -1: expected a whole number, 0 or more"),
        ("[tool.parity]\nseed = true", "seed is True: expected a whole number"),
        ("[tool.parity]\nseed = '1'", "seed is '1': expected a whole number"),
        ("[tool.parity]\ndevice = 'tpu'", "device is 'tpu': expected 'cpu' or 'gpu'"),
        ("[tool.parity]\ndevice = []", r"device is \[\]: expected 'cpu' or 'gpu'"),
        ("[tool.parity]\nloops = 'stepped'", "loops is 'stepped': expected a list of names, or 'all'"),
        ("[tool.parity]\nloops = [1]", r"loops is \[1\]: expected a list of names, or 'all'"),
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
