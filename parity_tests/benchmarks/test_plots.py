"""Plots say what was measured, and are readable without colours."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from benchmarks.page import page
from benchmarks.plan import Request
from benchmarks.plots import COLORS, LINES, NAMES, levers, plots, seeds, startup, sweep
from parity_tests.benchmarks.made import RIGHT
from parity_tests.benchmarks.made_results import result

RESULT = result({("jax stepped", "check"): RIGHT | {"outcome": "wrong", "reason": "step 1 differs"}})
FULL = result(request=Request(rounds=3))
SEEDS = result(request=Request(problems=("mnist",), seeds=(1, 2, 4), rounds=3))
MNIST = next(entry for entry in FULL["cases"] if entry["case"]["name"] == "mnist-float32-cpu")


def drawn(draw: Callable[..., bool], document: dict[str, Any], *about: Any) -> Axes:
    figure = Figure(layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    assert draw(axes, document, *about)
    figure.draw_without_rendering()
    return axes


def labels(axes: Axes) -> list[str]:
    return [str(line.get_label()) for line in axes.lines]


def test_every_plot_is_drawn_as_png_and_svg(tmp_path: Path) -> None:
    files = plots(FULL, tmp_path)
    names = {file.stem for file in files}
    assert {"levers-mnist-float32-cpu", "startup-mnist-float32-cpu", "levers-mlp-float32-cpu", "width-float32",
            "batch_size-float32"} <= names  # fmt: skip
    assert sorted(files) == sorted(tmp_path / f"{name}{suffix}" for name in names for suffix in (".png", ".svg"))
    assert all(file.stat().st_size > 1000 for file in files)
    svg = (tmp_path / "levers-mnist-float32-cpu.svg").read_text()
    assert "<!-- JAX whole_run -->" in svg
    # Only what the page links is an image on it.
    assert "![width-float32](width-float32.svg)" in page(FULL, files)
    assert "width-float32.png" not in page(FULL, files)


def test_what_is_drawn_again_is_the_same_byte_for_byte(tmp_path: Path) -> None:
    narrow = result(request=Request(problems=("mlp",), variants=("jax whole_run_flat",), rounds=3))
    (tmp_path / "again").mkdir()
    for one, other in zip(plots(narrow, tmp_path), plots(narrow, tmp_path / "again"), strict=True):
        assert one.read_bytes() == other.read_bytes()


def test_there_is_no_plot_where_there_are_no_figures(tmp_path: Path) -> None:
    narrow = result(request=Request(problems=("mlp",), variants=("jax whole_run_flat",), rounds=3))
    assert {file.stem for file in plots(narrow, tmp_path)} == {"levers-mlp-float32-cpu"}


def test_a_wrong_variant_is_in_no_plot(tmp_path: Path) -> None:
    plots(RESULT, tmp_path)
    svg = (tmp_path / "levers-mnist-float32-cpu.svg").read_text()
    assert "<!-- JAX stepped -->" not in svg
    assert "<!-- PyTorch stepped -->" in svg


def test_the_floor_of_a_plot_has_no_launches_which_are_a_variants_own(tmp_path: Path) -> None:
    slow = copy.deepcopy(RESULT)
    timed = [one for entry in slow["cases"] for one in entry["variants"] if one["floor_us"]]
    for one in timed:
        one["floor_us"] |= {"arithmetic": 7.0, "memory": 5.0, "launches": 56.0}
    plots(slow, tmp_path)
    svg = (tmp_path / "levers-mnist-float32-cpu.svg").read_text()
    assert "dotted: arithmetic and memory, 7.00 us" in svg


def test_a_seeds_plot_for_each_precision(tmp_path: Path) -> None:
    found = copy.deepcopy(SEEDS)
    rounded = [entry for entry in copy.deepcopy(found["cases"]) if entry["case"]["problem"] == "mnist"]
    for entry in rounded:
        entry["case"]["precision"] = "bfloat16"
    found["cases"] += rounded
    names = {file.stem for file in plots(found, tmp_path)}
    assert {"seeds-float32", "seeds-bfloat16"} <= names


def test_a_plot_tells_on_what_when_and_in_how_many_rounds(tmp_path: Path) -> None:
    plots(RESULT, tmp_path)
    told = "<!-- a processor, 2 cores; 2026-01-02; 3 rounds -->"
    assert all(told in file.read_text() for file in tmp_path.glob("*.svg"))
    gpu = copy.deepcopy(RESULT)
    gpu["request"]["device"], gpu["machine"]["gpus"] = "gpu", [{"name": "H100"}]
    gpu["condition"]["before"]["load"] = 1.5
    plots(gpu, tmp_path)
    told = "<!-- H100; 2026-01-02; 3 rounds; other work was running -->"
    assert told in (tmp_path / "levers-mnist-float32-cpu.svg").read_text()


def test_a_saving_is_drawn_beside_the_variant_that_it_is_of() -> None:
    axes = drawn(levers, FULL, MNIST)
    told = [text.get_text().strip() for text in axes.texts]
    names = [label.get_text() for label in axes.get_yticklabels()]
    assert names[:4] == ["PyTorch notebook", "PyTorch stepped", "PyTorch fused", "PyTorch compiled"]
    saves = dict(zip(names, told, strict=True))
    assert saves["PyTorch compiled"].endswith("saves 50% of stepped")
    assert saves["JAX whole_run"].endswith("saves 80% of stepped")
    # It takes as long as the one before.
    assert "saves" not in saves["JAX jit_state"]
    assert "saves" not in saves["JAX whole_run_by_hand"]


def test_nothing_is_drawn_as_saved_where_noise_is_not_known() -> None:
    unknown = copy.deepcopy(MNIST) | {"noise": None}
    axes = drawn(levers, {**FULL, "cases": [unknown]}, unknown)
    assert not any("saves" in text.get_text() for text in axes.texts)
    assert "noise not measured" in axes.get_xlabel()


@pytest.mark.parametrize(("rounds", "told"), [(3, "smallest to largest"), (4, "smallest to largest"), (5, "95 %")])
def test_few_rounds_are_told_as_no_interval(rounds: int, told: str) -> None:
    assert f"line: {told}" in drawn(levers, FULL | {"rounds": rounds}, MNIST).get_xlabel().replace("the 95", "95")


def test_many_rows_make_a_higher_plot(tmp_path: Path) -> None:
    def height(document: dict[str, Any]) -> float:
        plots(document, tmp_path)
        svg = (tmp_path / "levers-mnist-float32-cpu.svg").read_text()
        return float(svg.partition('height="')[2].partition("pt")[0])

    more = copy.deepcopy(RESULT)
    entry = more["cases"][0]
    timed = [one for one in entry["variants"] if one["step_us"]]
    entry["variants"] += [one | {"name": f"{one['name']}_{turn}"} for turn in range(2) for one in timed]
    assert height(more) > 1.5 * height(RESULT)


@pytest.mark.parametrize(
    ("size", "sizes"), [("width", [25, 50, 200, 400, 800]), ("batch_size", [10, 30, 100, 300, 3000])]
)
def test_a_line_is_of_runs_of_equally_many_steps(size: str, sizes: list[int]) -> None:
    axes = drawn(sweep, FULL, size, "float32")
    # The notebook's size is timed in runs of 100.
    assert all(np.asarray(line.get_xdata()).tolist() == sizes for line in axes.lines)
    assert axes.get_ylabel() == "microseconds a step, in runs of 20 steps"
    assert axes.get_title(loc="left").startswith("mnist-float32-cpu")


def test_the_notebooks_size_is_in_the_line_where_its_runs_have_as_many_steps() -> None:
    axes = drawn(sweep, result(request=Request(problems=("mnist",), rounds=3, steps=20)), "width", "float32")
    assert np.asarray(axes.lines[0].get_xdata()).tolist() == [25, 50, 100, 200, 400, 800]


def test_one_number_of_seeds_makes_no_plot() -> None:
    assert {entry["case"]["seeds"] for entry in FULL["cases"]} == {1, 4}
    assert not seeds(Figure().add_subplot(), FULL, "float32")


def test_seeds_begin_at_one_seed_of_the_fastest_of_each_side() -> None:
    axes = drawn(seeds, SEEDS, "float32")
    assert [tick.get_text() for tick in axes.get_xticklabels()] == ["1", "2", "4"]
    assert labels(axes)[-2:] == ["PyTorch compiled, one seed", "JAX whole_run, one seed"]
    alone = axes.lines[-1]
    step = next(
        one["step_us"]["median"] for one in SEEDS["cases"][0]["variants"]
        if (one["framework"], one["name"]) == ("jax", "whole_run")
    )  # fmt: skip
    assert np.asarray(alone.get_ydata()).tolist() == [1e6 / step] * 2


def test_the_sides_differ_without_colours() -> None:
    dark, light = (
        sum(weight * part for weight, part in zip((0.299, 0.587, 0.114), to_rgb(COLORS[side]), strict=True))
        for side in ("torch", "jax")
    )
    assert light - dark > 0.3
    assert LINES["torch"] != LINES["jax"]
    axes = drawn(startup, FULL, MNIST)
    hollow = {str(line.get_label()).split()[0]: line.get_markerfacecolor() == "white" for line in axes.lines}
    assert hollow == {"PyTorch": False, "JAX": True}
    marks = {label: line.get_marker() for label, line in zip(labels(axes), axes.lines, strict=True)}
    assert marks["PyTorch stepped"] == marks["JAX stepped"] != marks["PyTorch compiled"]


@pytest.mark.parametrize(
    ("draw", "document", "about"),
    [(startup, FULL, (MNIST,)), (sweep, FULL, ("width", "float32")), (seeds, SEEDS, ("float32",))],
    ids=["startup", "width", "seeds"],
)
def test_a_legend_covers_no_data(draw: Callable[..., bool], document: dict[str, Any], about: tuple[Any, ...]) -> None:
    axes = drawn(draw, document, *about)
    legend = axes.get_legend()
    assert legend is not None
    assert legend.get_window_extent().x0 >= axes.get_window_extent().x1


def test_a_start_is_told_as_one() -> None:
    assert "n = 1" in drawn(startup, FULL, MNIST).get_title(loc="left")


def test_what_has_no_ratio_to_the_notebook_is_drawn(tmp_path: Path) -> None:
    apart = copy.deepcopy(RESULT)
    for entry in apart["cases"]:
        entry["pairs"] = []
        for one in entry["variants"]:
            one["times_notebook"] = None
    assert {file.stem for file in plots(apart, tmp_path)} == {file.stem for file in plots(RESULT, tmp_path)}


# What is drawn is what the result has


def of_result(document: dict[str, Any], label: str, size: str, value: Callable[[Any], float]) -> dict[float, float]:
    """By size, a figure of the variant of this label in all cases of MNIST."""
    return {
        entry["case"][size]: value(one)
        for entry in document["cases"] if entry["case"]["problem"] == "mnist"
        for one in entry["variants"] if one["step_us"] and not one["twin"]
        and f"{NAMES[one['framework']]} {one['name']}" == label
    }  # fmt: skip


def points(line: Any) -> list[tuple[float, float]]:
    return list(zip(np.asarray(line.get_xdata()).tolist(), np.asarray(line.get_ydata()).tolist(), strict=True))


@pytest.mark.parametrize(
    ("draw", "document", "about", "size", "value"),
    [
        (sweep, FULL, ("width", "float32"), "width", lambda one: one["step_us"]["median"]),
        (sweep, FULL, ("batch_size", "float32"), "batch_size", lambda one: one["step_us"]["median"]),
        (seeds, SEEDS, ("float32",), "seeds", lambda one: 1e6 / one["step_us"]["median"]),
    ],
    ids=["width", "batch_size", "seeds"],
)
def test_a_line_goes_through_the_medians(
    draw: Callable[..., bool],
    document: dict[str, Any],
    about: tuple[str, ...],
    size: str,
    value: Callable[[Any], float],
) -> None:
    lines = [line for line in drawn(draw, document, *about).lines if "one seed" not in str(line.get_label())]
    assert lines
    for line in lines:
        expected = of_result(document, str(line.get_label()), size, value)
        assert [up for _, up in points(line)] == pytest.approx([expected[at] for at, _ in points(line)])


def test_a_start_is_drawn_from_the_cold_one() -> None:
    entry = copy.deepcopy(MNIST)
    cold = [one for one in entry["variants"] if one["startup"] and not one["twin"]]
    timed = {f"{NAMES[one['framework']]} {one['name']}": one for one in cold}
    for seconds, one in enumerate(timed.values()):
        one["startup"]["cold"]["process_s"], one["startup"]["warm"]["process_s"] = 10.0 + seconds, 2.0
    axes = drawn(startup, FULL, entry)
    assert len(axes.lines) > 1
    for label, line in zip(labels(axes), axes.lines, strict=True):
        begins, step_us = timed[label]["startup"]["cold"]["process_s"], timed[label]["step_us"]["median"]
        (first, begun), *_, (last, ended) = points(line)
        # The run of 100 steps is part of the start.
        assert [first, begun] == pytest.approx([100, begins])
        assert [last, ended] == pytest.approx([1e6, begins + (1e6 - 100) * 1e-6 * step_us])


def test_a_bar_is_as_long_as_its_median_and_pale_up_to_what_it_saved() -> None:
    axes = drawn(levers, FULL, MNIST)
    found = [one for one in MNIST["variants"] if one["step_us"] and not one["twin"]]
    bars = [patch for patch in axes.patches if isinstance(patch, Rectangle)]
    full = {round(bar.get_y() + bar.get_height() / 2): bar for bar in bars if not bar.get_alpha()}
    pale = {round(bar.get_y() + bar.get_height() / 2): bar for bar in bars if bar.get_alpha()}
    assert len(full) == len(found)
    for place, one in enumerate(found):
        step, bar = one["step_us"], full[place]
        assert [bar.get_x(), bar.get_width()] == pytest.approx([0, step["median"]])
        assert points(axes.lines[place]) == [(step["low"], place), (step["high"], place)]
        if place in pale:
            told = float(axes.texts[place].get_text().partition("saves ")[2].partition("%")[0]) / 100
            assert pale[place].get_x() == pytest.approx(step["median"])
            whole = step["median"] + pale[place].get_width()
            assert 1 - step["median"] / whole == pytest.approx(told, abs=0.006)
    assert len(pale) == sum("saves" in text.get_text() for text in axes.texts) > 2
    floor = max(us for one in found for us in one["floor_us"].values())
    assert np.asarray(axes.lines[-1].get_xdata()).tolist() == [floor] * 2
