"""The plots of a result: levers, start-up against steps, sizes, seeds. PNG and SVG, light and readable in print."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, NullLocator

from benchmarks.noise import is_swept
from benchmarks.tables import figure as shown

COLORS = {"torch": "#c2410c", "jax": "#1d4ed8"}
NAMES = {"torch": "PyTorch", "jax": "JAX"}
STYLES = ("-", "--", ":", "-.")
STARTED = ("notebook", "nnx_jit", "stepped", "compiled", "whole_run", "whole_run_compiled")
"""The variants whose starts are drawn; the table of starting has all."""
MARKS = ("o", "s", "^", "D", "v", "P", "X")

Document = Mapping[str, Any]
Found = Mapping[str, Any]


def plots(document: Document, folder: Path) -> list[Path]:
    """Draw all plots that the result has figures for; the files, each as PNG and as SVG."""
    files: list[Path] = []
    for entry in document["cases"]:
        case = entry["case"]
        if case["seeds"] == 1 and not is_swept(case):
            for name, draw in (("levers", levers), ("startup", startup)):
                files += _drawn(folder / f"{name}-{case['name']}", draw, entry)
    for precision in dict.fromkeys(entry["case"]["precision"] for entry in document["cases"]):
        for size in ("width", "batch_size"):
            files += _drawn(folder / f"{size}-{precision}", sweep, document, size, precision)
        files += _drawn(folder / f"seeds-{precision}", seeds, document, precision)
    return files


def _drawn(stem: Path, draw: Callable[..., bool], *found: Any) -> list[Path]:
    """The files of one plot of what was found; none where there is nothing to draw."""
    figure = Figure(figsize=(7.2, 4.2), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    axes.spines[["top", "right"]].set_visible(False)
    if not draw(axes, *found):
        return []
    files = [stem.with_name(f"{stem.name}{suffix}") for suffix in (".png", ".svg")]
    for file in files:
        figure.savefig(file, dpi=150, metadata={"Date": None} if file.suffix == ".svg" else None)
    return files


def _timed(entry: Found) -> list[Found]:
    return [found for found in entry["variants"] if found["step_us"] and not found["twin"]]


def levers(axes: Axes, entry: Found) -> bool:
    """A waterfall for each side: from its slowest variant to its fastest, what each lever is worth."""
    found = sorted(_timed(entry), key=lambda one: (one["framework"] != "torch", -one["step_us"]["median"]))
    if not found:
        return False
    for place, one in enumerate(found):
        step, color = one["step_us"], COLORS[one["framework"]]
        axes.barh(place, step["median"], color=color, height=0.7)
        axes.plot([step["low"], step["high"]], [place, place], color="black", linewidth=1)
        before = found[place - 1] if place and found[place - 1]["framework"] == one["framework"] else None
        if before is not None:
            axes.barh(
                place,
                before["step_us"]["median"] - step["median"],
                left=step["median"],
                color=color,
                height=0.7,
                alpha=0.15,
            )
        # Behind the bar, the interval and what the lever saved.
        end = max(step["high"], before["step_us"]["median"] if before else 0.0)
        axes.text(end, place, f" {shown(step['median'], 4)}", va="center", fontsize=8)
    if entry["ceilings"]:
        # Without launches: those are a variant's own.
        floor = max(us for one in found for reason, us in one["floor_us"].items() if reason != "launches")
        axes.axvline(floor, color="gray", linestyle=":", label=f"arithmetic and memory, {shown(floor)} us")
        axes.legend(frameon=False, fontsize=8)
    axes.set_yticks(range(len(found)), [f"{NAMES[one['framework']]} {one['name']}" for one in found], fontsize=8)
    axes.invert_yaxis()
    axes.set_xlabel("microseconds a step; pale: what the lever saved")
    axes.set_title(entry["case"]["name"], loc="left", fontsize=10)
    return True


def startup(axes: Axes, entry: Found) -> bool:
    """Seconds from the start of a process with empty caches, against the steps taken."""
    found = [one for one in _timed(entry) if one["name"] in STARTED and one["startup"]["cold"]]
    if not found:
        return False
    first = entry["case"]["steps"]
    steps = np.geomspace(first, 1e6, 100)
    seen = dict.fromkeys(COLORS, 0)
    for one in found:
        number = seen[one["framework"]]
        seen[one["framework"]] += 1
        seconds = one["startup"]["cold"]["process_s"] + (steps - first) * 1e-6 * one["step_us"]["median"]
        label = f"{NAMES[one['framework']]} {one['name']}"
        axes.plot(
            steps, seconds, STYLES[number % 4], color=COLORS[one["framework"]], label=label, linewidth=1 + number // 4
        )
    axes.set(xscale="log", yscale="log", xlabel="steps", ylabel="seconds from the start of the process, cold")
    axes.legend(frameon=False, fontsize=7)
    axes.set_title(entry["case"]["name"], loc="left", fontsize=10)
    return True


def _of_mnist(document: Document, precision: str) -> list[Found]:
    return [
        entry for entry in document["cases"]
        if (entry["case"]["problem"], entry["case"]["precision"]) == ("mnist", precision)
    ]  # fmt: skip


def sweep(axes: Axes, document: Document, size: str, precision: str) -> bool:
    """Microseconds a step against width or batch size: where the lines cross, the order of the variants changes."""
    other = "batch_size" if size == "width" else "width"
    swept = [entry for entry in _of_mnist(document, precision) if entry["case"]["seeds"] == 1]
    usual = next((entry["case"] for entry in swept if not is_swept(entry["case"])), None)
    if usual is None:
        return False
    kept = [entry for entry in swept if entry["case"][other] == usual[other]]
    if len(kept) < 2 or not any(map(_timed, kept)):
        return False
    _lines(axes, kept, size, lambda found: found["step_us"]["median"])
    axes.set(xlabel=size.replace("_", " "), ylabel=f"microseconds a step, {precision}")
    axes.legend(frameon=False, fontsize=8)
    return True


def seeds(axes: Axes, document: Document, precision: str) -> bool:
    """Steps of all seeds together a second, against how many seeds are trained together."""
    kept = [entry for entry in _of_mnist(document, precision) if entry["case"]["seeds"] > 1]
    if not any(_timed(entry) for entry in kept):
        return False
    _lines(axes, kept, "seeds", lambda one: 1e6 / one["step_us"]["median"])
    axes.set(xlabel="seeds trained together", ylabel=f"steps a second, of all seeds, {precision}")
    axes.legend(frameon=False, fontsize=8)
    return True


def _lines(axes: Axes, entries: list[Found], size: str, value: Callable[[Found], float]) -> None:
    """A line for each variant that is timed in more than one of the cases, or in the only one; a tick for each size."""
    points: dict[tuple[str, str], list[tuple[float, float]]] = {}
    for entry in entries:
        for found in _timed(entry):
            name = (found["framework"], found["name"])
            points.setdefault(name, []).append((entry["case"][size], value(found)))
    kept = {name: sorted(line) for name, line in points.items() if len(line) > 1 or len(entries) == 1}
    for number, ((framework, variant), line) in enumerate(kept.items()):
        label = f"{NAMES[framework]} {variant}"
        across, up = zip(*line, strict=True)
        axes.plot(across, up, marker=MARKS[number % len(MARKS)], color=COLORS[framework], label=label)
    axes.set(xscale="log", yscale="log")
    sizes = sorted({entry["case"][size] for entry in entries})
    axes.xaxis.set_major_locator(FixedLocator(sizes))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_xticklabels([str(size) for size in sizes])
