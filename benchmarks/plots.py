"""The plots of a result: levers, start-up against steps, sizes, seeds. PNG and SVG, light, readable in grey print."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke
from matplotlib.ticker import FixedLocator, FuncFormatter, LogLocator, NullLocator

from benchmarks.case import BATCH_SIZE, WIDTH
from benchmarks.figures import borne
from benchmarks.figures import figure as shown
from benchmarks.levers import in_order, predecessor, saved
from benchmarks.noise import brackets, is_swept, noise_at, other_work
from benchmarks.rows import timed_once

# One dark, solid and full, the other light, dashed and hollow: that is left of them in grey.
COLORS = {"torch": "#8c2d04", "jax": "#5aa9f0"}
LINES = {"torch": "-", "jax": "--"}
NAMES = {"torch": "PyTorch", "jax": "JAX"}
STARTED = ("notebook", "nnx_jit", "stepped", "compiled", "whole_run", "whole_run_compiled")
"""The variants whose starts are drawn; the table of starting has all."""
MARKS = ("o", "s", "^", "D", "v", "P", "X")
USUAL = {"width": WIDTH, "batch_size": BATCH_SIZE}
HEIGHT, ROW, EDGES = 4.2, 0.22, 1.0
"""Inches: of a plot, and, where rows need more, of each row and of what is above and below them."""

Document = Mapping[str, Any]
Found = Mapping[str, Any]


def plots(document: Document, folder: Path) -> list[Path]:
    """Draw all plots that the result has figures for; the files, each as PNG and as SVG."""
    files: list[Path] = []
    for entry in document["cases"]:
        case = entry["case"]
        if case["seeds"] == 1 and not is_swept(case):
            files += _drawn(folder / f"levers-{case['name']}", levers, document, entry, rows=len(timed_once(entry)))
            files += _drawn(folder / f"startup-{case['name']}", startup, document, entry)
    for precision in dict.fromkeys(entry["case"]["precision"] for entry in document["cases"]):
        for size in USUAL:
            files += _drawn(folder / f"{size}-{precision}", sweep, document, size, precision)
        files += _drawn(folder / f"seeds-{precision}", seeds, document, precision)
    return files


def _drawn(stem: Path, draw: Callable[..., bool], document: Document, *found: Any, rows: int = 0) -> list[Path]:
    """The files of one plot of what was found; none where there is nothing to draw."""
    figure = Figure(figsize=(7.2, max(HEIGHT, EDGES + ROW * rows)), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    axes.spines[["top", "right"]].set_visible(False)
    if not draw(axes, document, *found):
        return []
    figure.supxlabel(_measured(document), x=0.01, ha="left", fontsize=7, color="gray")
    files = [stem.with_name(f"{stem.name}{suffix}") for suffix in (".png", ".svg")]
    # The same figure is the same file: names inside an SVG are drawn by chance otherwise.
    with rc_context({"svg.hashsalt": stem.name}):
        for file in files:
            figure.savefig(file, dpi=150, metadata={"Date": None} if file.suffix == ".svg" else None)
    return files


def _measured(document: Document) -> str:
    """On what, when and in how many rounds."""
    machine = document["machine"]
    on = f"{machine['processor']}, {machine['cores']} cores"
    if document["request"]["device"] == "gpu":
        on = ", ".join(gpu["name"] for gpu in machine["gpus"]) or "a GPU"
    told = f"{on}; {document['begun_at'][:10]}; {document['rounds']} rounds"
    return f"{told}; other work was running" if other_work(document) else told


def levers(axes: Axes, document: Document, entry: Found) -> bool:
    """A bar for each variant, and pale what it saved of the one that it adds to, where that is beyond the noise."""
    found = in_order(timed_once(entry))
    if not found:
        return False
    noise = noise_at(document, entry)
    for place, one in enumerate(found):
        _bar(axes, place, one, predecessor(one, found), noise)
    lines = [f"line: {brackets(document)}"]
    if entry["ceilings"]:
        # Without launches: those are a variant's own.
        floor = max(us for one in found for reason, us in one["floor_us"].items() if reason != "launches")
        axes.axvline(floor, color="gray", linestyle=":", zorder=0)
        lines.append(f"dotted: arithmetic and memory, {shown(floor)} us")
    axes.set_yticks(range(len(found)), [_label(one) for one in found], fontsize=8)
    axes.set_ylim(len(found) - 0.5, -0.5)
    pale = "nothing is told to be saved: noise not measured"
    pale = pale if noise is None else "pale: saved of the variant named, where that is beyond noise"
    axes.set_xlabel(f"microseconds a step; {'; '.join(lines)}\n{pale}", fontsize=8)
    axes.set_title(entry["case"]["name"], loc="left", fontsize=10)
    return True


def _bar(axes: Axes, place: int, one: Found, before: Found | None, noise: float | None) -> None:
    """The bar of a variant, its interval, and behind them its figure and what it saved."""
    step, color = one["step_us"], COLORS[one["framework"]]
    axes.barh(place, step["median"], color=color, height=0.7)
    halo = [withStroke(linewidth=2.5, foreground="white")]
    axes.plot([step["low"], step["high"]], [place, place], color="black", linewidth=1, path_effects=halo)
    end, told = step["high"], shown(step["median"], borne(step))
    if before and (share := saved(one, before, noise)):
        whole = step["median"] / (1 - share)
        axes.barh(place, whole - step["median"], left=step["median"], color=color, height=0.7, alpha=0.25)
        end, told = max(end, whole), f"{told}, saves {share:.0%} of {before['name']}"
    axes.text(end, place, f" {told}", va="center", fontsize=7, path_effects=halo)


def startup(axes: Axes, document: Document, entry: Found) -> bool:
    """Seconds from the start of a process with empty caches, against the steps taken."""
    found = [one for one in timed_once(entry) if one["name"] in STARTED and one["startup"]["cold"]]
    if not found:
        return False
    first = entry["case"]["steps"]
    steps = np.geomspace(first, 1e6, 100)
    for number, one in enumerate(found):
        seconds = one["startup"]["cold"]["process_s"] + (steps - first) * 1e-6 * one["step_us"]["median"]
        _line(axes, steps, seconds, one, STARTED.index(one["name"]), (3 * number, 25))
    axes.set(xscale="log", xlabel="steps", ylabel="seconds from the start of the process")
    _finish(axes, f"{entry['case']['name']}: starting cold, n = 1")
    return True


def _of_mnist(document: Document, precision: str) -> list[Found]:
    return [
        entry for entry in document["cases"]
        if (entry["case"]["problem"], entry["case"]["precision"]) == ("mnist", precision)
    ]  # fmt: skip


def sweep(axes: Axes, document: Document, size: str, precision: str) -> bool:
    """Microseconds a step against width or batch size: where the lines cross, the order of the variants changes."""
    other = "batch_size" if size == "width" else "width"
    cases = [entry for entry in _of_mnist(document, precision) if entry["case"]["seeds"] == 1]
    # A step takes longer in a run of few steps: those of the notebook's size are another number of them.
    steps = next((entry["case"]["steps"] for entry in cases if is_swept(entry["case"])), None)
    kept = [entry for entry in cases if (entry["case"][other], entry["case"]["steps"]) == (USUAL[other], steps)]
    if not _lines(axes, kept, size, lambda found: found["step_us"]["median"]):
        return False
    axes.set(xlabel=size.replace("_", " "), ylabel=f"microseconds a step, in runs of {steps} steps")
    _finish(axes, f"{_about(document, precision)}: {size.replace('_', ' ')}")
    return True


def seeds(axes: Axes, document: Document, precision: str) -> bool:
    """Steps of all seeds together a second, against how many seeds are trained together."""
    cases = [entry for entry in _of_mnist(document, precision) if not is_swept(entry["case"])]
    together = [entry for entry in cases if entry["case"]["seeds"] > 1]
    if not _lines(axes, together, "seeds", lambda one: 1e6 / one["step_us"]["median"]):
        return False
    most = max(entry["case"]["seeds"] for entry in together)
    for framework in NAMES:
        alone = [
            one for entry in cases if entry["case"]["seeds"] == 1
            for one in timed_once(entry) if one["framework"] == framework
        ]  # fmt: skip
        if alone:
            _one_seed(axes, min(alone, key=lambda one: one["step_us"]["median"]), most)
    _ticks(axes, [1, *(entry["case"]["seeds"] for entry in together)])
    axes.set(xlabel="seeds trained together", ylabel="steps a second, of all seeds")
    _finish(axes, f"{_about(document, precision)}: seeds")
    return True


def _one_seed(axes: Axes, one: Found, most: int) -> None:
    """The fastest variant of a side with one seed, and a thin line that training seeds together has to beat."""
    speed, framework = 1e6 / one["step_us"]["median"], one["framework"]
    axes.plot(
        [1, most], [speed, speed], marker="*", markersize=10, markevery=[0], color=COLORS[framework], linestyle=":",
        linewidth=1, label=f"{_label(one)}, one seed",
    )  # fmt: skip


def _lines(axes: Axes, entries: list[Found], size: str, value: Callable[[Found], float]) -> bool:
    """A line for each variant that is timed at more than one size, and a tick for each size; False where none is."""
    points: dict[str, list[tuple[float, float]]] = {}
    shown_as: dict[str, Found] = {}
    for entry in entries:
        for found in timed_once(entry):
            points.setdefault(_label(found), []).append((entry["case"][size], value(found)))
            shown_as[_label(found)] = found
    kept = {label: sorted(line) for label, line in points.items() if len(line) > 1}
    # What is called the same on both sides has the same mark.
    marks = list(dict.fromkeys(shown_as[label]["name"] for label in kept))
    for label, line in kept.items():
        across, up = zip(*line, strict=True)
        _line(axes, across, up, shown_as[label], marks.index(shown_as[label]["name"]), (0, 1))
    axes.set_xscale("log")
    _ticks(axes, [entry["case"][size] for entry in entries])
    return bool(kept)


def _line(axes: Axes, across: Any, up: Any, one: Found, mark: int, every: tuple[int, int]) -> None:
    """The line of a variant, its marks at every so many of the points."""
    framework = one["framework"]
    color = COLORS[framework]
    axes.plot(
        across, up, LINES[framework], color=color, label=_label(one), marker=MARKS[mark % len(MARKS)], markersize=5,
        markerfacecolor=color if framework == "torch" else "white", markevery=every, linewidth=1.3,
    )  # fmt: skip


def _ticks(axes: Axes, sizes: Iterable[int]) -> None:
    at = sorted(set(sizes))
    axes.xaxis.set_major_locator(FixedLocator(at))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_xticklabels([f"{size:,}" for size in at])


def _finish(axes: Axes, title: str) -> None:
    """A logarithmic axis with plain figures, the title, and the legend beside the data."""
    axes.set_yscale("log")
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.6g}"))
    axes.yaxis.set_minor_locator(NullLocator())
    axes.legend(frameon=False, fontsize=7, loc="upper left", bbox_to_anchor=(1.0, 1.0))
    axes.set_title(title, loc="left", fontsize=10)


def _label(one: Found) -> str:
    return f"{NAMES[one['framework']]} {one['name']}"


def _about(document: Document, precision: str) -> str:
    return f"mnist-{precision}-{document['request']['device']}"
