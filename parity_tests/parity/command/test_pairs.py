"""A pair by its import path: looked up from the folder of pyproject.toml, and every fault in it one line.

Pair files and names are tested in parity_tests/parity/test_pair.py.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from parity.command.pairs import chosen_pairs, importable
from parity.errors import NotCheckable

MADE = """
from parity_tests.parity import made_verdicts
pair = made_verdicts.pair("{name}")
"""


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Path]:
    """A project with a pair in a package, which has a module of the name of another one, and a pair file."""
    package = tmp_path / "made_package"
    package.mkdir()
    (package / "pairs.py").write_text(MADE.format(name="imported"))
    (package / "broken.py").write_text("1 / 0")
    (package / "lacking.py").write_text("import made_nowhere")
    (package / "colorsys.py").write_text("1 / 0")
    (tmp_path / "one.py").write_text(MADE.format(name="one"))
    (tmp_path / "pyproject.toml").write_text('[tool.parity]\npairs = ["one.py", "made_package.pairs:pair"]')
    before, path = set(sys.modules), list(sys.path)
    yield tmp_path
    assert sys.path == path
    for name in set(sys.modules) - before:
        del sys.modules[name]


@pytest.mark.parametrize("argument", ["made_package.pairs:pair", "imported"])
def test_an_import_path_is_looked_up_from_the_folder_of_pyproject_toml(project: Path, argument: str) -> None:
    (found,) = chosen_pairs([argument], project / "made_package")
    assert (found.pair.name, found.path) == ("imported", "made_package.pairs:pair")
    assert (found.file, found.pair_file) == (project / "made_package" / "pairs.py", None)
    assert found.base == project


def test_files_and_import_paths_stand_beside_each_other(project: Path) -> None:
    assert [chosen.pair.name for chosen in chosen_pairs([], project)] == ["one", "imported"]
    assert [chosen.path for chosen in chosen_pairs(["imported", "made_package.pairs:pair", "one"], project)] == [
        "made_package.pairs:pair", "",
    ]  # fmt: skip


def test_modules_beside_an_imported_pair_do_not_hide_others(project: Path) -> None:
    (found,) = chosen_pairs(["imported"], project)
    with importable(found.pair_file, base=found.base):
        import colorsys

    assert colorsys.rgb_to_hsv(0, 0, 0) == (0, 0, 0)


@pytest.mark.parametrize(
    ("argument", "message"),
    [
        ("made_nowhere.pairs:pair", "no module named 'made_nowhere', neither in {project} nor installed"),
        ("made_package.lacking:pair", "no module named 'made_nowhere', neither in {project} nor installed"),
        ("made_package.broken:pair", "does not import: ZeroDivisionError: division by zero"),
        ("made_package.pairs:other", "made_package.pairs defines no pair of that name; write other = Pair(...)"),
        ("made_package.pairs:made_verdicts", "made_package.pairs defines no pair of that name"),
    ],
)
def test_a_fault_is_one_line_that_begins_with_the_import_path(project: Path, argument: str, message: str) -> None:
    with pytest.raises(NotCheckable) as raised:
        chosen_pairs([argument], project)
    assert str(raised.value).startswith(f"{argument}: {message.format(project=project)}")


def test_a_pair_file_that_was_checked_before_keeps_its_modules_to_itself(project: Path) -> None:
    (project / "other").mkdir()
    for folder in (project, project / "other"):
        (folder / "made_beside.py").write_text("")
        (folder / "two.py").write_text("import made_beside" + MADE.format(name="two"))
    (first,) = chosen_pairs(["two.py"], project)
    with pytest.raises(NotCheckable, match="the module made_beside beside it is already imported"):
        chosen_pairs(["other/two.py"], project, earlier=[first.file])
