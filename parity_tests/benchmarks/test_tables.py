"""What people read: the same figures in a terminal, on the page and in the plots."""

from __future__ import annotations

import copy
from io import StringIO
from typing import Any

import pytest
from rich.console import Console

from benchmarks.compare import compare
from benchmarks.figures import figure
from benchmarks.page import page
from benchmarks.plan import Request, groups
from benchmarks.tables import markdown, show, show_changes, tables
from parity_tests.benchmarks.made import DESCRIBED, RIGHT
from parity_tests.benchmarks.made_results import entries_of, result

WRONG = {("jax stepped", "check"): RIGHT | {"outcome": "wrong", "reason": "step 1 differs"}}
RESULT = result(WRONG)
QUICK = result() | {"cases": entries_of(groups(Request(quick=True)), quick=True)}
FULL = result(request=Request(rounds=3))


def shown(document: dict[str, Any]) -> str:
    out = StringIO()
    show(Console(file=out, width=150), document)
    return out.getvalue()


def test_a_case_has_a_table_of_variants_and_one_of_pairs() -> None:
    names = [table.title for table in tables(RESULT)]
    cases = ("mnist-float32-cpu", "mnist-float32-cpu-s4")
    expected = [title for case in cases for title in (case, f"{case}: pairs", f"{case}: starting, n = 1")]
    assert names == [*expected, "sizes: us a step, in runs of 20 steps", "goals"]
    first = tables(RESULT)[0]
    rows = {(row[0], row[1]): row for row in first.rows}
    assert all(len(row) == len(first.columns) for row in first.rows)
    assert rows["torch", "stepped"][2].startswith("5")
    assert rows["torch", "stepped"][-1] == "right"
    assert rows["jax", "stepped"][2:] == ["-"] * 5 + ["500", "-", "wrong"]
    assert rows["torch", "stepped"][-3:] == ["500", "0.950", "right"]
    assert "jax stepped: step 1 differs" in first.notes
    assert "torch whole_run: whole_run captures a CUDA graph and needs a GPU" in first.notes
    assert any(
        "the best of torch and jax: a large product 2,000,000 GFLOP/s, a copy 1,000 GB/s" in note
        for note in first.notes
    )


@pytest.mark.parametrize(
    ("faster", "measured_by", "why"),
    [(2.0, ("torch", "jax"), ""), (0.9, ("torch", "jax"), "beside other work"), (0.9, ("torch",), "framework alone")],
)
def test_what_is_faster_than_its_floor_says_that_the_floor_is_not_known(
    faster: float, measured_by: tuple[str, ...], why: str
) -> None:
    made = copy.deepcopy(RESULT)
    entry = made["cases"][0]
    entry["ceilings"]["call_s"] = dict.fromkeys(measured_by, 1e-6)
    next(found for found in entry["variants"] if found["times_floor"])["times_floor"] = faster
    told = [note for note in tables(made)[0].notes if "measured too low" in note]
    assert [note.endswith(why) for note in told] == [True] * bool(why)
    assert all(note in page(made, []) for note in told)


def test_starting_is_told_by_its_parts() -> None:
    starting = tables(result())[2]
    rows = {(row[0], row[1]): row for row in starting.rows}
    # Imports, data, first run; warm: the same here; and a later run of 100 steps of 250 us.
    assert rows["jax", "stepped"][2:6] == ["1.00", "0.500", "2.00", "2.00"]
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
    assert lines[-1].startswith("  new: other work was running: a load of 1.70 on 2 cores when this was begun")


@pytest.mark.parametrize("width", [20, 80])
def test_in_a_narrow_terminal_no_name_and_no_figure_is_cut_off(width: int) -> None:
    """Of three rows called whole_... nobody knows which is which."""
    out = StringIO()
    console = Console(file=out, width=width)
    show(console, RESULT)
    show_changes(console, compare(result(), RESULT))
    told = out.getvalue()
    assert "\N{HORIZONTAL ELLIPSIS}" not in told
    assert told.count("compiled_reduce_overhead") > 1
    assert "mnist-float32-cpu-w25-t20" in told
    assert console.width == width


def test_few_rounds_bear_no_interval() -> None:
    several = RESULT | {"rounds": 10}
    for number in (0, 1):
        assert tables(RESULT)[number].notes[0] == (
            "in brackets: smallest to largest; 3 rounds are too few for a 95 % interval"
        )
        assert tables(several)[number].notes[0] == "in brackets: the 95 % interval"
    assert "in brackets smallest to largest (too few rounds for a 95 % interval)" in page(RESULT, [])
    assert "in brackets the 95 % interval" in page(several, [])


def test_other_work_is_told_on_the_page_and_behind_the_tables() -> None:
    busy = copy.deepcopy(RESULT)
    busy["condition"]["before"]["load"] = 4.4
    told = (
        "ther work was running: a load of 4.40 on 2 cores when this was begun; times and ratios may be wrong by much."
    )
    assert shown(busy).rstrip().endswith(f"o{told}")
    assert f"**O{told}**" in page(busy, [])
    assert told not in shown(RESULT) + page(RESULT, [])


def test_the_notebooks_loop_is_told_to_bring_its_data_itself() -> None:
    assert "on the device before, but for `notebook`" in page(RESULT, [])


def test_a_start_is_told_as_one() -> None:
    starting = tables(RESULT)[2]
    assert starting.title.endswith("n = 1")
    assert "of one cold and one warm start each" in starting.notes[0]
    assert "Each start is timed once (n = 1)" in page(RESULT, [])


def test_ceilings_of_one_framework_are_told_as_such() -> None:
    narrow = result(request=Request(problems=("mlp",), variants=("jax stepped",), rounds=3))
    assert any(note.startswith("measured here, by jax alone: ") for note in tables(narrow)[0].notes)


def test_a_table_of_sizes_is_of_runs_of_equally_many_steps() -> None:
    found = copy.deepcopy(FULL)
    swept = [entry["case"] for entry in found["cases"] if entry["case"]["steps"] == 20]
    swept[0]["steps"] = 50
    rows = {table.title: len(table.rows) for table in tables(found) if table.title.startswith("sizes")}
    assert rows == {"sizes: us a step, in runs of 50 steps": 1, "sizes: us a step, in runs of 20 steps": len(swept) - 1}


def test_where_rounds_are_not_shared_there_is_no_ratio() -> None:
    apart = copy.deepcopy(RESULT)
    entry = apart["cases"][0]
    entry["pairs"] = entry["pairs"][:1]
    for one in entry["variants"]:
        one["times_notebook"] = None
    first, pairs = tables(apart)[:2]
    rows = {(row[0], row[1]): row for row in first.rows}
    assert rows["torch", "stepped"][first.columns.index("x notebook")] == "-"
    assert rows["torch", "stepped"][2] != "-"
    assert [row[0] for row in pairs.rows if row[1] != "itself, once more"] == [entry["pairs"][0]["first"]]
    assert shown(apart)


def test_memory_is_what_the_framework_counts_and_the_process_where_it_counts_nothing() -> None:
    counted = DESCRIBED | {"peak_bytes": 20_300_000}
    first = tables(result({("jax stepped", "describe"): counted}))[0]
    held = {(row[0], row[1]): row[first.columns.index("MB")] for row in first.rows}
    assert (held["jax", "stepped"], held["torch", "stepped"]) == ("20.3", "500")
