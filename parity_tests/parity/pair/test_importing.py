"""Parts by import path, and pair files: what they name, and what is said where they name nothing."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from parity.errors import MissingFramework, NotCheckable
from parity.pair.importing import load_pair, resolve
from parity_tests.parity.made_verdicts import never

PAIRS = Path(__file__).parents[2] / "pairs"


def test_a_part_is_found_by_its_path_or_is_the_function_itself() -> None:
    assert resolve("parity.pair.importing:resolve", "torch") is resolve
    assert resolve(never, "jax") is never


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("parity.pair.pair", "is not an import path"),
        (":loss", "is not an import path"),
        ("parity.pair.pair:", "is not an import path"),
        ("no_such_wing.mnist:loss", "no module named 'no_such_wing': modules are looked for beside the pair file"),
        ("parity.no_such:loss", "no module named 'parity.no_such': modules are looked for beside"),
        ("parity.pair.pair:no_such_part", r"has no 'no_such_part' \(it is .*pair.py\)"),
    ],
)
def test_a_path_that_leads_nowhere_is_told(path: str, message: str) -> None:
    with pytest.raises(NotCheckable, match=message):
        resolve(path, "torch")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("import no_such_module", "no module named 'no_such_module': beside_faulty imports it"),
        ("def", "does not import: SyntaxError"),
        ("1 / 0", "does not import: ZeroDivisionError: division by zero"),
        (
            "import parity\nraise parity.NotCheckable('put data in')",
            "^beside_faulty:loss: does not import: put data in$",
        ),
    ],
)
def test_a_module_that_does_not_import_is_told_and_is_no_fault_of_paritys(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: str, message: str
) -> None:
    (tmp_path / "beside_faulty.py").write_text(content)
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(NotCheckable, match=message):
        resolve("beside_faulty:loss", "torch")


@pytest.mark.parametrize(("framework", "package"), [("torch", "torchvision"), ("jax", "flax")])
def test_a_missing_framework_is_told_with_what_to_install(
    framework: str, package: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "beside_side.py").write_text(f"import {package}.of_this_name.there_is_none")
    monkeypatch.syspath_prepend(tmp_path)
    for name in [name for name in sys.modules if name.partition(".")[0] == package]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, package, None)
    told = rf"needs {package}, which is not installed: pip install 'one-network-twice\[{framework}\]'$"
    with pytest.raises(MissingFramework, match=told):
        resolve("beside_side:loss", framework)  # type: ignore[arg-type]


# Pair files


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "no such pair file"),
        ("x = 1", "defines no pair"),
        ("pair = 1", "defines no pair"),
        ("1 / 0", "does not run: ZeroDivisionError"),
        ("import no_such_module", "does not run: ModuleNotFoundError"),
        ("def", "does not run: SyntaxError"),
        ("import parity; pair = parity.Pair(torch={}, jax={})", "broken.py: pair: the torch side names no model"),
    ],
)
def test_a_pair_file_that_defines_no_pair_is_told(tmp_path: Path, content: str | None, message: str) -> None:
    file = tmp_path / "broken.py"
    if content is not None:
        file.write_text(content)
    with pytest.raises(NotCheckable, match=message) as raised:
        load_pair(file)
    assert str(file) in str(raised.value)


def test_loading_the_three_pairs_imports_neither_framework_nor_wing() -> None:
    for name in ("line_fit", "mlp", "mnist"):
        found = load_pair(PAIRS / f"{name}.py")
        assert found.name == name
        assert "compiled" in found.torch.loops
        assert "compiled" not in found.jax.loops
