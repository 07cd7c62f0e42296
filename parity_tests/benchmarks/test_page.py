"""The pages that are kept say what the code makes of the results beside them, and so does the benchmark's README."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from matplotlib.figure import Figure

from benchmarks.figures import borne, figure
from benchmarks.headline import RESULTS
from benchmarks.page import page
from benchmarks.plots import plots
from benchmarks.reading import read

KEPT = sorted(file.parent for file in RESULTS.glob("*/result.json"))
README = " ".join((RESULTS.parent / "README.md").read_text(encoding="utf-8").split())


@pytest.mark.parametrize("folder", KEPT, ids=lambda folder: folder.name)
def test_a_kept_page_is_what_the_code_makes_of_its_result(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # What is drawn has tests of its own: here only which plots there are.
    monkeypatch.setattr(Figure, "savefig", lambda *_, **__: None)
    document = read(folder / "result.json")
    files = plots(document, tmp_path)
    assert (folder / "README.md").read_text(encoding="utf-8") == page(document, files)
    kept = {file.name for file in folder.iterdir() if file.suffix in (".png", ".svg")}
    assert kept == {file.name for file in files}


def step(document: dict[str, Any], name: str) -> str:
    """Microseconds of a step of MNIST, as people read them."""
    (entry,) = (entry for entry in document["cases"] if entry["case"]["name"] == "mnist-float32-cpu")
    (found,) = (one["step_us"] for one in entry["variants"] if one["name"] == name and one["step_us"])
    return figure(found["median"], borne(found))


def rounded(told: str) -> int:
    """Three digits of a figure, which is what the README's have."""
    return int(float(f"{float(told.replace(',', '')):.3g}"))


@pytest.mark.parametrize(
    "sentence",
    [
        r"`compiled_onednn` takes ([\d,]+) us a step where",
        r"us a step where `compiled` takes ([\d,]+),",
        r"`whole_run_turned` ([\d,]+) where",
        r"`whole_run_flat` takes ([\d,]+) us a step in `results/cpu-2-cores`",
    ],
)
def test_the_readmes_figures_are_those_of_the_kept_result(sentence: str) -> None:
    document = read(RESULTS / "cpu-2-cores" / "result.json")
    (told,) = re.findall(sentence, README)
    (name,) = re.findall(r"`(compiled\w*|whole_run_\w+)`", sentence)
    assert rounded(told) == rounded(step(document, name))


def test_the_readme_counts_the_pairs_of_both_runs() -> None:
    def pairs(file: Path) -> set[tuple[str, str, str]]:
        return {
            (entry["case"]["name"], pair["first"], pair["second"])
            for entry in read(file)["cases"] for pair in entry["pairs"]
        }  # fmt: skip

    kept = RESULTS / "cpu-2-cores"
    both = pairs(kept / "result.json") & pairs(kept / "again" / "result.json")
    assert f"of its {len(both)} matched pairs none has another order" in README
