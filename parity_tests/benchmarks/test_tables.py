"""What people read: the same figures in a terminal, on the page and in the plots."""

from __future__ import annotations

import copy
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from benchmarks.compare import compare
from benchmarks.page import page
from benchmarks.plan import Request, groups
from benchmarks.plots import plots
from benchmarks.tables import figure, markdown, show, show_changes, tables, with_interval
from parity_tests.benchmarks.made import RIGHT
from parity_tests.benchmarks.made_results import entries_of, result

WRONG = {("jax stepped", "check"): RIGHT | {"outcome": "wrong", "reason": "step 1 differs"}}
RESULT = result(WRONG)
QUICK = result() | {"cases": entries_of(groups(Request(quick=True)), quick=True)}
FULL = result(request=Request(rounds=3))


def shown(document: dict[str, Any]) -> str:
    out = StringIO()
    show(Console(file=out, width=150), document)
    return out.getvalue()


@pytest.mark.parametrize(
    ("value", "expected"),
    [(None, "-"), (0.0123456, "0.0123"), (12.345, "12.3"), (999.4, "999"), (12345.6, "12,346"), (0.0, "0")],
)
def test_a_figure_has_as_many_digits_as_count(value: float | None, expected: str) -> None:
    assert figure(value) == expected


def test_an_interval_stands_behind_its_median() -> None:
    assert with_interval({"median": 1.0, "low": 0.9876, "high": 1.01}) == "1 [0.988, 1.01]"
    assert with_interval(None) == "-"


def test_a_case_has_a_table_of_variants_and_one_of_pairs() -> None:
    names = [table.title for table in tables(RESULT)]
    cases = ("mnist-float32-cpu", "mnist-float32-cpu-s4")
    expected = [title for case in cases for title in (case, f"{case}: pairs", f"{case}: starting")]
    assert names == [*expected, "sizes: us a step", "goals"]
    first = tables(RESULT)[0]
    rows = {(row[0], row[1]): row for row in first.rows}
    assert all(len(row) == len(first.columns) for row in first.rows)
    assert rows["torch", "stepped"][2].startswith("5")
    assert rows["torch", "stepped"][-1] == "right"
    assert rows["jax", "stepped"][2:] == ["-"] * 5 + ["500", "-", "wrong"]
    assert rows["torch", "stepped"][-3:] == ["500", "0.95", "right"]
    assert "jax stepped: step 1 differs" in first.notes
    assert "torch whole_run: whole_run captures a CUDA graph and needs a GPU" in first.notes
    assert any("a large product 2,000,000 GFLOP/s, a copy 1,000 GB/s" in note for note in first.notes)


def test_starting_is_told_by_its_parts() -> None:
    starting = tables(result())[2]
    rows = {(row[0], row[1]): row for row in starting.rows}
    # Imports, data, first run; warm: the same here; and a later run of 100 steps of 250 us.
    assert rows["jax", "stepped"][2:6] == ["1", "0.5", "2", "2"]
    assert rows["jax", "stepped"][6] == figure(0.25 * 1e-1 * 1.01)
    # Compiling is what the first run has on top.
    compiling = {(row[0], row[1]): row[6] for row in tables(result())[0].rows}
    assert compiling["jax", "stepped"] == figure(2 - 0.02525)
    assert ("jax", "whole_run_no_command_buffer") not in rows
    assert not any("starting" in table.title for table in tables(QUICK))


def test_pairs_say_which_is_faster_and_whether_that_is_noise() -> None:
    pairs = tables(result())[1]
    said = {(row[0], row[1]): row[-1] for row in pairs.rows}
    assert said["torch stepped", "jax stepped"] == "the second is faster"
    assert said["jax whole_run", "itself, once more"] == "noise"
    noisy = copy.deepcopy(result())
    for pair in noisy["cases"][0]["pairs"]:
        pair["differs"] = False
    assert {row[-1] for row in tables(noisy)[1].rows} == {"no difference beyond noise", "noise"}


def test_sizes_stand_in_one_table_with_the_fastest() -> None:
    sizes = tables(FULL)[-2]
    assert sizes.columns[:3] == ("precision", "width", "batch")
    assert {row[-1] for row in sizes.rows} == {"jax whole_run"}
    assert [row[1] for row in sizes.rows[:5]] == ["25", "50", "200", "400", "800"]


def test_what_is_within_the_noise_of_the_fastest_stands_beside_it() -> None:
    def fastest(noise: float | None) -> set[str]:
        found = copy.deepcopy(FULL)
        for entry in found["cases"]:
            entry["noise"] = noise if entry["noise"] else None
        return {row[-1] for row in tables(found)[-2].rows}

    assert fastest(1.01) == {"jax whole_run"}
    # The next one takes three times as long.
    assert fastest(3.1) == {"jax whole_run, jax whole_run_turned"}
    assert fastest(None) == {"noise not measured"}


def test_several_seeds_stand_beside_the_notebooks_loop_of_one() -> None:
    one, several = (
        next(table for table in tables(FULL) if table.title == name)
        for name in ("mnist-float32-cpu", "mnist-float32-cpu-s4")
    )
    column = one.columns.index("x notebook")
    notebook = next(row for row in one.rows if row[1] == "notebook")
    for row in several.rows:
        if row[2] != "-":
            expected = float(notebook[2].split()[0].replace(",", "")) / float(row[2].split()[0])
            assert float(row[column]) == pytest.approx(expected, rel=0.01)
    assert any("`x notebook` is beside the notebook's loop of one seed" in note for note in several.notes)


def test_a_seeds_plot_for_each_precision(tmp_path: Path) -> None:
    found = copy.deepcopy(FULL)
    rounded = [entry for entry in copy.deepcopy(found["cases"]) if entry["case"]["problem"] == "mnist"]
    for entry in rounded:
        entry["case"]["precision"] = "bfloat16"
    found["cases"] += rounded
    names = {file.stem for file in plots(found, tmp_path)}
    assert {f"{kind}-{precision}" for kind in ("seeds", "width") for precision in ("float32", "bfloat16")} <= names


def test_the_terminal_and_the_page_have_the_same_cells() -> None:
    printed, written = shown(RESULT), page(RESULT, [])
    for table in tables(RESULT):
        assert markdown(table).rstrip() in written
        for row in table.rows:
            assert all(cell in printed for cell in row)
    assert "`python -m benchmarks --problem mnist` on 2026-01-02, 123 s: a processor, 2 cores, no GPU" in written


def test_changes_are_printed_a_line_each_and_then_what_is_to_be_said_of_them() -> None:
    out = StringIO()
    new = result(WRONG)
    new["condition"]["before"] = new["condition"]["before"] | {"load": 1.7}
    show_changes(Console(file=out, width=150), compare(result(), new))
    lines = out.getvalue().splitlines()
    assert lines[0].split("  ")[-1].strip() == "says"
    assert any(line.split()[1:3] == ["jax", "stepped"] and line.split()[-1] == "lost" for line in lines)
    assert "  mnist-float32-cpu, jax stepped: step 1 differs" in lines
    assert lines[-1] == "  load before: old 0.1, new 1.7, of 2 cores"


def test_every_plot_is_drawn_as_png_and_svg(tmp_path: Path) -> None:
    files = plots(FULL, tmp_path)
    names = {file.stem for file in files}
    assert {"levers-mnist-float32-cpu", "startup-mnist-float32-cpu", "levers-mlp-float32-cpu", "width-float32",
            "batch_size-float32", "seeds-float32"} <= names  # fmt: skip
    assert sorted(files) == sorted(tmp_path / f"{name}{suffix}" for name in names for suffix in (".png", ".svg"))
    assert all(file.stat().st_size > 1000 for file in files)
    drawn = (tmp_path / "levers-mnist-float32-cpu.svg").read_text()
    assert "<!-- JAX whole_run -->" in drawn
    # Only what the page links is an image on it.
    assert "![width-float32](width-float32.svg)" in page(FULL, files)
    assert "width-float32.png" not in page(FULL, files)


def test_there_is_no_plot_where_there_are_no_figures(tmp_path: Path) -> None:
    narrow = result(request=Request(problems=("mlp",), variants=("jax whole_run_flat",), rounds=3))
    assert {file.stem for file in plots(narrow, tmp_path)} == {"levers-mlp-float32-cpu"}


def test_a_wrong_variant_is_in_no_plot(tmp_path: Path) -> None:
    plots(RESULT, tmp_path)
    drawn = (tmp_path / "levers-mnist-float32-cpu.svg").read_text()
    assert "<!-- JAX stepped -->" not in drawn
    assert "<!-- PyTorch stepped -->" in drawn


def test_the_floor_of_a_plot_has_no_launches_which_are_a_variants_own(tmp_path: Path) -> None:
    slow = copy.deepcopy(RESULT)
    timed = [one for entry in slow["cases"] for one in entry["variants"] if one["floor_us"]]
    for one in timed:
        one["floor_us"] |= {"arithmetic": 7.0, "memory": 5.0, "launches": 56.0}
    plots(slow, tmp_path)
    drawn = (tmp_path / "levers-mnist-float32-cpu.svg").read_text()
    assert "<!-- arithmetic and memory, 7 us -->" in drawn
