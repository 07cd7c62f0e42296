"""Which pairs a command line means, by file, name or import path, and which modules are found beside them."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from parity.command.pairs import Chosen, chosen_pairs, importable
from parity.errors import NotCheckable
from parity.pair.importing import resolve

PAIR_FILE = """
from parity import Pair, Side
side = Side.from_module("{module}", update="{module}:update")
pair = Pair(name="{name}", torch=side, jax=side)
"""
MADE = """
from parity_tests.parity import made_verdicts
pair = made_verdicts.pair("{name}")
"""


@pytest.fixture(autouse=True)
def _modules_stay_as_they_are() -> Iterator[None]:
    before = set(sys.modules)
    yield
    for name in set(sys.modules) - before:
        if name.startswith("beside_"):
            del sys.modules[name]


def pair_file(folder: Path, file: str = "one.py", name: str = "one", module: str = "beside_model") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / file
    path.write_text(PAIR_FILE.format(name=name, module=module))
    return path


# Which pairs are meant


def configure(folder: Path, *files: Path) -> None:
    listed = ", ".join(f'"{file.relative_to(folder)}"' for file in files)
    (folder / "pyproject.toml").write_text(f"[tool.parity]\npairs = [{listed}]")


def names(found: list[Chosen]) -> list[str]:
    return [chosen.pair.name for chosen in found]


def test_all_configured_pairs_or_those_named_each_once(tmp_path: Path) -> None:
    one, two = pair_file(tmp_path / "p"), pair_file(tmp_path / "p", "2.py", "two")
    other = pair_file(tmp_path / "elsewhere", "other.py", "other")
    configure(tmp_path, one, two)
    assert names(chosen_pairs([], tmp_path)) == ["one", "two"]
    assert names(chosen_pairs(["two"], tmp_path)) == ["two"]
    assert names(chosen_pairs(["two", "elsewhere/other.py", "p/2.py"], tmp_path)) == ["two", "other"]
    assert chosen_pairs([str(other)], tmp_path / "p")[0].file == other


def test_no_pair_configured_says_how_to_make_one(tmp_path: Path) -> None:
    with pytest.raises(NotCheckable, match=r"no pair is configured: name a pair file.*\[tool.parity\].*pair = Pair\("):
        chosen_pairs([], tmp_path)
    with pytest.raises(NotCheckable, match="no pair is called 'mnist': no pair is configured"):
        chosen_pairs(["mnist"], tmp_path)


def test_an_unknown_name_is_told_with_those_there_are(tmp_path: Path) -> None:
    configure(tmp_path, pair_file(tmp_path), pair_file(tmp_path, "two.py", "two"))
    with pytest.raises(NotCheckable, match="no pair is called 'three': the configured pairs are one, two"):
        chosen_pairs(["three"], tmp_path)


def test_a_fault_in_another_pair_does_not_stand_in_the_way_of_a_named_one(tmp_path: Path) -> None:
    broken = tmp_path / "broken.py"
    broken.write_text("1 / 0")
    configure(tmp_path, broken, pair_file(tmp_path))
    assert names(chosen_pairs(["one"], tmp_path)) == ["one"]
    with pytest.raises(NotCheckable, match="does not run"):
        chosen_pairs([], tmp_path)


def test_two_pairs_of_one_name_are_refused(tmp_path: Path) -> None:
    configure(tmp_path, pair_file(tmp_path), pair_file(tmp_path, "again.py"))
    with pytest.raises(NotCheckable, match=r"two pairs are called one: .*one.py and .*again.py"):
        chosen_pairs([], tmp_path)


# Modules beside a pair file


def test_modules_beside_the_pair_file_are_found_while_it_is_checked(tmp_path: Path) -> None:
    file = pair_file(tmp_path)
    (tmp_path / "beside_model.py").write_text("update = 'found'")
    before = list(sys.path)
    with importable(file, tmp_path):
        assert resolve("beside_model:update", "torch") == "found"
    assert sys.path == before
    with pytest.raises(NotCheckable, match="no module named 'beside_gone'"):
        resolve("beside_gone:update", "torch")


@pytest.mark.parametrize("package", [False, True], ids=["module", "package"])
def test_another_pairs_module_of_the_same_name_is_not_taken(tmp_path: Path, package: bool) -> None:
    files = [pair_file(tmp_path / folder, name=folder) for folder in ("a", "b")]
    for file in files:
        module = file.parent / ("beside_model/__init__.py" if package else "beside_model.py")
        module.parent.mkdir(exist_ok=True)
        module.write_text(f"update = {file.parent.name!r}")
    with importable(files[0], tmp_path, files):
        assert resolve("beside_model:update", "torch") == "a"
    with (
        pytest.raises(NotCheckable, match="beside_model beside it is already imported"),
        importable(files[1], tmp_path, files),
    ):
        pass


def test_pairs_of_one_folder_share_its_modules(tmp_path: Path) -> None:
    files = [pair_file(tmp_path), pair_file(tmp_path, "two.py", "two")]
    (tmp_path / "beside_model.py").write_text("update = 'shared'")
    for file in files:
        with importable(file, tmp_path, files):
            assert importlib.import_module("beside_model").update == "shared"


@pytest.mark.parametrize("checked", ["beside_model.py", "another.py"])
def test_a_pair_file_does_not_hide_the_module_that_it_is_named_after(tmp_path: Path, checked: str) -> None:
    (tmp_path / "beside_model.py").write_text("update = 'the model'")
    at_the_top = pair_file(tmp_path, "top.py", "top")
    files = [pair_file(tmp_path / "pairs", name) for name in ("beside_model.py", "another.py")]
    before = list(sys.meta_path)
    for file in (tmp_path / "pairs" / checked, *files):
        with importable(file, tmp_path, [at_the_top, *files]):
            assert resolve("beside_model:update", "torch") == "the model"
    assert sys.meta_path == before


def test_a_pair_file_may_hold_its_own_parts(tmp_path: Path) -> None:
    file = pair_file(tmp_path, "beside_parts.py", module="beside_parts")
    with file.open("a") as opened:
        opened.write("update = 'beside the pair'")
    with importable(file, tmp_path / "elsewhere"):
        assert resolve("beside_parts:update", "torch") == "beside the pair"


# Pairs by import path


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
    with importable(found.pair_file, found.base):
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
