"""docs/pytest.md: its files are written as they stand there, its tests run, and what it shows is what they print."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from parity.command.settings import NAMES, Settings
from parity_tests.parity.pytest_plugin.made_project import Project

DOCUMENT = Path(__file__).parents[3] / "docs" / "pytest.md"
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
TEXT = DOCUMENT.read_text(encoding="utf-8")
BLOCKS = [(language, content) for language, content in BLOCK.findall(TEXT)]
FILES = {
    content.partition("\n")[0].removeprefix("# "): content for kind, content in BLOCKS if kind in ("python", "toml")
}
NOT_SEEN, FAILURE, ANNOTATION = (content for kind, content in BLOCKS if kind == "text")
TESTS = [file for file in FILES if file.startswith("tests/") and "conditions" not in file]


@pytest.fixture
def documented(project: Project, real_engine: None) -> Project:
    """The project of the document."""
    for file, content in FILES.items():
        project.write(file, content)
    return project


def masked(text: str) -> str:
    """The text without what is another machine's: figures, spaces, folders and digests."""
    text = re.sub(r"/\S*/(?=\.parity)", "", text)
    text = re.sub(r"-[0-9a-f]{8}$", "-#", text, flags=re.MULTILINE)
    text = re.sub(r"\d+(\.\d+)?(e[+-]?\d+)?(?!\w)", "#", text)
    return re.sub(r"[ -]+", " ", text).strip()


def test_every_block_of_code_names_its_file() -> None:
    assert list(FILES) == [
        "pairs/mlp.py", "tests/test_port.py", "tests/test_all_stages.py", "pyproject.toml", "tests/test_conditions.py",
        "pairs/clipped.py", "pairs/too_fast.py",
    ]  # fmt: skip


def test_its_tests_are_green(documented: Project) -> None:
    documented.run(*TESTS, "tests/test_conditions.py::test_in_float64_alone").assert_outcomes(passed=3)


def test_what_was_not_seen_is_what_it_prints(documented: Project) -> None:
    documented.write("tests/test_port.py", FILES["tests/test_port.py"].replace("mlp.py", "clipped.py"))
    lines = documented.run("tests/test_port.py").outlines
    assert [line for line in lines if line.startswith("tests/test_port.py::")] == [NOT_SEEN.strip()]


def test_where_there_is_no_gpu_the_test_that_asks_for_one_is_red(
    documented: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    documented.run("tests/test_conditions.py::test_on_the_gpu").assert_outcomes(failed=1)


def test_the_failure_and_the_annotation_are_what_it_prints(
    documented: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    monkeypatch.setenv("GITHUB_WORKSPACE", str(documented.folder))
    documented.write("tests/test_port.py", FILES["tests/test_port.py"].replace("mlp.py", "too_fast.py"))
    lines = documented.failure("tests/test_port.py")
    (annotation,) = [line for line in lines if line.startswith("::error")]
    printed = "\n".join(line for line in lines if line != annotation)
    assert masked(printed) == masked(FAILURE), printed
    assert masked(annotation) == masked(ANNOTATION), annotation
    said = re.findall(r"`([\w.]+\.(?:txt|json|safetensors))`", TEXT)
    (folder,) = (documented.folder / ".parity").glob("tests-*")
    # The documented pair has parts of its own for what a weight map does.
    assert {file.name for file in folder.iterdir()} == set(said) - {"weight_map.json"}


def test_the_table_of_settings_is_complete_and_its_defaults_are_right() -> None:
    rows = re.findall(r"^\| `(\w+)` \| .* \| (.*) \|$", TEXT, re.MULTILINE)
    assert [name for name, _ in rows] == list(NAMES)
    usual = {name: value.strip("`") for name, value in rows}
    loops = ", ".join(f'"{loop}"' for loop in Settings().loops or ())
    assert usual == {"pairs": "none", "seed": str(Settings().seed), "device": '"cpu"', "loops": f"[{loops}]"}


def test_every_linked_file_is_there() -> None:
    targets = re.findall(r"\]\(([^)#:]+)\)", TEXT)
    assert targets
    assert [target for target in targets if not (DOCUMENT.parent / target).exists()] == []


@pytest.mark.parametrize("figures", ["difference 0.00074, limit 1e-12", "difference 7, limit 0.5"])
def test_another_place_would_be_noticed_and_other_figures_not(figures: str) -> None:
    line = f"update, step 0, tensor a.weight, float64: {figures}"
    assert masked(line) == masked("update, step 0, tensor a.weight, float64: difference 1e-3, limit 2")
    assert masked(line) != masked(line.replace("update", "forward"))
    assert masked(line) != masked(line.replace("a.weight", "b.weight"))
