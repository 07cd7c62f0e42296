"""Digests of a side's code: what changes it is told, what is no part of it is not, and nothing is imported for it."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import replace
from importlib import invalidate_caches
from pathlib import Path

import pytest

from parity.golden.check import check_against, write_golden
from parity.golden.file import packed, unpacked
from parity.golden.sources import changed_since, sources
from parity.pair.pair import Side
from parity_tests.parity.tiny import tiny

FILES = {
    "ported/__init__.py": "raise RuntimeError('imported')\n",
    "ported/net.py": "import torch\nfrom . import blocks\nfrom .sizes import WIDE\nraise RuntimeError('imported')\n",
    "ported/blocks.py": "import numpy as np\nimport alone\n",
    "ported/sizes.py": "WIDE = 5\n",
    "ported/beside.py": "",
    "alone.py": "from parity import tap\nRATE = 0.1\n",
    "broken.py": "def (:\n",
}
MODULES = {"alone", "ported", "ported.net", "ported.blocks", "ported.sizes"}


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project whose modules cannot be imported, on the path."""
    for name, text in FILES.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    monkeypatch.syspath_prepend(tmp_path)
    invalidate_caches()
    return tmp_path


def test_the_modules_that_are_named_and_those_that_they_import_count(project: Path) -> None:
    found = sources(Side(model="ported.net:Net", loss="missing:loss", optimizer="torch.optim:SGD", predict=print))
    assert found.keys() == MODULES
    assert {len(digest) for digest in found.values()} == {64}
    assert changed_since(found) == []
    assert not {"ported", "alone"} & sys.modules.keys()


@pytest.mark.parametrize(
    ("name", "module"), [("ported/net.py", "ported.net"), ("ported/sizes.py", "ported.sizes"), ("alone.py", "alone")]
)
def test_a_change_in_any_of_them_is_told(project: Path, name: str, module: str) -> None:
    found = sources(Side(model="ported.net:Net"))
    (project / name).write_text(FILES[name] + "RATE = 0.2\n")
    assert changed_since(found) == [module]


def test_a_folder_without_an_init_file_inside_a_package_counts(project: Path) -> None:
    """Python itself looks such a package up among the modules that are imported, which this must not ask for."""
    for name in ("ported/bare/deep.py", "bare/deeper/deep.py"):
        (project / name).parent.mkdir(parents=True)
        (project / name).write_text("import alone\n")
    invalidate_caches()
    found = sources(
        Side(model="ported.bare.deep:Net", loss="bare.deeper.deep:loss", predict="ported.bare.missing:none")
    )
    assert found.keys() == {"alone", "ported.bare.deep", "bare.deeper.deep"}
    assert changed_since(found) == []
    (project / "ported/bare/deep.py").write_text("RATE = 0.2\n")
    assert changed_since(found) == ["ported.bare.deep"]
    assert not {"ported", "bare"} & sys.modules.keys()


@pytest.mark.parametrize("folder", ["lib/python3/dist-packages", ".local/lib/python3.11/site-packages"])
def test_what_is_installed_outside_this_environment_is_no_part_of_a_side(
    project: Path, monkeypatch: pytest.MonkeyPatch, folder: str
) -> None:
    """As by `pip install --user`, or around an environment with `--system-site-packages`."""
    installed = project / folder / "framework"
    installed.mkdir(parents=True)
    (installed / "__init__.py").write_text("")
    (project / "alone.py").write_text("import framework\n")
    monkeypatch.syspath_prepend(installed.parent)
    invalidate_caches()
    assert sources(Side(model="alone:Net")).keys() == {"alone"}


def elsewhere(project: Path) -> None:
    for name in FILES:
        (project / name).unlink()


def other_ends(project: Path) -> None:
    for name, text in FILES.items():
        (project / name).write_bytes(text.replace("\n", "\r\n").encode())


def not_of_it(project: Path) -> None:
    (project / "ported/beside.py").write_text("RATE = 0.2\n")


@pytest.mark.parametrize("change", [elsewhere, other_ends, not_of_it])
def test_what_is_not_here_or_says_the_same_is_no_change(project: Path, change: Callable[[Path], None]) -> None:
    found = sources(Side(model="ported.net:Net"))
    change(project)
    invalidate_caches()
    assert changed_since(found) == []


def test_code_that_cannot_be_read_counts_all_the_same(project: Path) -> None:
    assert sources(Side(model="broken:Net")).keys() == {"broken"}


@pytest.mark.usefixtures("compiled_once")
def test_a_check_lists_that_a_recording_is_of_other_code(tmp_path: Path) -> None:
    file = tmp_path / "tiny.parity"
    write_golden(tiny(1), "torch", file)
    content = unpacked(file)
    assert "parity_tests.parity.tiny_torch" in content.heading["sources"]
    assert not any("other code" in line for line in check_against(tiny(1), file).listed)
    planted = {"sources": {"parity_tests.parity.tiny_torch": "0" * 64}}
    told = "recorded of other code than is here now: parity_tests.parity.tiny_torch: record again"
    file.write_bytes(packed(replace(content, heading={**content.heading, **planted})))
    found = check_against(tiny(1), file)
    assert (found.outcome, found.listed[:1]) == ("agree", [told])
    # Another version of the recorded side is other code.
    assert told not in check_against(tiny(1), file, side="torch").listed
