"""README.md says what the code says."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from parity_tests.readme import CURRENT, README, ROOT, block, with_block


@pytest.mark.parametrize("name", CURRENT)
def test_a_block_is_what_the_code_says(name: str) -> None:
    assert block(README.read_text(), name) == CURRENT[name]().strip(), "run python -m parity_tests.readme"


def test_a_block_that_is_out_of_date_is_noticed() -> None:
    old = with_block(README.read_text(), "model", "class Classifier: ...")
    assert block(old, "model") != CURRENT["model"]().strip()


def test_a_missing_block_is_an_error() -> None:
    with pytest.raises(ValueError, match="no block 'model'"):
        block("nothing here", "model")


def test_the_measured_table_shows_three_agreeing_pairs() -> None:
    printed = block(README.read_text(), "parity")
    assert all(problem in printed for problem in ("line_fit", "mlp", "mnist"))
    assert "differ" not in re.sub(r"difference|differences", "", printed)
    assert "inconclusive" not in printed
    assert re.search(r"^AGREE: .* \(3 of 3 pairs, \d+ s\)$", printed, re.MULTILINE)


def test_the_measured_scores_are_what_the_seeds_print_and_agree() -> None:
    printed = block(README.read_text(), "seeds")
    runs, _, rest = printed.removeprefix("```\n").partition("\n")
    assert re.fullmatch(r"mnist  64 runs a side, cpu: torch seeds 0 to 63, JAX 64 to 127", runs)
    figures = r"\d\.\d{4} +\d\.\d{4} +\d\.\d{4} +\d\.\d{4} +[+-]\d\.\d{4} +[+-]\d\.\d{4} +[+-]\d\.\d{4} +agree"
    for score in ("notebook", "test"):
        assert re.search(rf"^{score} +{figures}$", rest, re.MULTILINE), score
    reached = re.search(r"0\.978: (\d+) of 64 torch runs reach it, .*; (\d+) of 64 JAX runs reach it", rest)
    assert reached
    # "about one run in twelve", as the sentence above the block has it
    assert 128 / sum(map(int, reached.groups())) == pytest.approx(12, abs=0.5)
    assert re.search(r"^AGREE: equivalent scores in PyTorch and in JAX: mnist \(\d+ s\)$", rest, re.MULTILINE)


def test_as_many_layers_agree_as_it_says() -> None:
    rows = re.findall(r"^\| (\w+)[^|]* \| agree \|", (ROOT / "docs" / "layers.md").read_text(), re.MULTILINE)
    said = f"{len(rows)} configurations of {len(set(rows))} layers, poolings, activations and losses of torch"
    for page in ("README.md", "CHANGELOG.md"):
        assert said in " ".join((ROOT / page).read_text().split()), page


def linked(page: Path) -> list[str]:
    """The files of this repository that a page links to."""
    # What stands in backticks is code.
    return re.findall(r"\]\(([^)#:\s]+)(?:#[^)]*)?\)", re.sub(r"`[^`\n]*`", "", page.read_text()))


PAGES = ["README.md", "CONTRIBUTING.md", "CHANGELOG.md", "benchmarks/README.md", "data/README.md", "docs/*.md"]


@pytest.mark.parametrize("pattern", PAGES)
def test_every_linked_file_is_there(pattern: str) -> None:
    pages = sorted(ROOT.glob(pattern))
    assert pages
    assert [f"{page.name}: {to}" for page in pages for to in linked(page) if not (page.parent / to).exists()] == []


def test_links_are_found_with_and_without_a_heading(tmp_path: Path) -> None:
    (tmp_path / "page.md").write_text("[a](a.md), [b](docs/b.md#part), [c](#here), [d](https://d.org), `x[0](y)`\n")
    assert linked(tmp_path / "page.md") == ["a.md", "docs/b.md"]
