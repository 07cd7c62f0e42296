"""The tables of a result, as rows of text; shown by Rich in a terminal and as Markdown on a page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from rich.console import Console
from rich.table import Table
from rich.text import Text

from benchmarks.case import Case
from benchmarks.compare import WORSE, Comparison
from benchmarks.goals import Goal, goals
from benchmarks.noise import is_swept, noise_at

STYLES = {"right": "green", "wrong": "bold red", "inconclusive": "bold yellow", "failed": "bold red", "not run": "dim"}
NONE = "-"


class Rows(NamedTuple):
    """A table: what it is about, its columns, and its rows. The last column says in words what holds."""

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    notes: Sequence[str]


def tables(document: Mapping[str, Any]) -> list[Rows]:
    """All tables: for each case its variants and its pairs; sweeps and seeds together, by size."""
    usual = [entry for entry in document["cases"] if not is_swept(entry["case"])]
    swept = [entry for entry in document["cases"] if is_swept(entry["case"])]
    found = []
    for entry in usual:
        found += [
            _variants(entry, _notebook_us(document, entry)),
            *([_pairs(entry)] if entry["pairs"] or entry["twins"] else []),
        ]
        found += [_starting(entry)] if any(map(_cold, entry["variants"])) else []
    wanted = goals(document)
    return found + ([_sizes(document, swept)] if swept else []) + ([_goals(wanted)] if wanted else [])


def figure(value: float | None, digits: int = 3) -> str:
    """A number of some significant digits, without an exponent where it is of ordinary size."""
    if value is None:
        return NONE
    return f"{value:.{digits}g}" if abs(value) < 10**digits else f"{value:,.0f}"


def with_interval(found: Mapping[str, float] | None, digits: int = 3) -> str:
    """A median, and its interval in brackets."""
    if found is None:
        return NONE
    return f"{figure(found['median'], digits)} [{figure(found['low'], digits)}, {figure(found['high'], digits)}]"


def _notebook_us(document: Mapping[str, Any], entry: Mapping[str, Any]) -> float | None:
    """The step of the notebook's loop in the case of one seed, where this case has several; None where it has one."""
    case = entry["case"]
    one = Case(case["problem"], case["precision"], case["device"], steps=case["steps"]).name
    steps = [
        found["step_us"]["median"]
        for other in document["cases"] if other["case"]["name"] == one and case["seeds"] > 1
        for found in other["variants"] if found["name"] == "notebook" and found["step_us"]
    ]  # fmt: skip
    return next(iter(steps), None)


def _variants(entry: Mapping[str, Any], notebook_us: float | None) -> Rows:
    columns = (
        "side",
        "variant",
        "us a step",
        "ms a run",
        "x notebook",
        "x floor",
        "first run, +s",
        "MB",
        "accuracy",
        "verdict",
    )
    rows = [_variant(found, notebook_us) for found in entry["variants"] if not found["twin"]]
    notes = [
        f"{found['framework']} {found['name']}: {found['reason']}" for found in entry["variants"] if found["reason"]
    ]
    if entry["case"]["seeds"] > 1:
        beside = (
            "" if notebook_us is None else "; `x notebook` is beside the notebook's loop of one seed, in its own rounds"
        )
        notes.insert(0, f"a step is that of one of the {entry['case']['seeds']} seeds{beside}")
    if ceilings := entry["ceilings"]:
        reached = [found for found in entry["variants"] if found["step_us"]]
        notes.insert(0, _ceilings(ceilings))
        if reached and entry["work"]["flop"]:
            best = min(reached, key=lambda found: found["step_us"]["median"])
            share = entry["work"]["flop"] / (1e-6 * best["step_us"]["median"]) / ceilings["flop_s"]
            notes.insert(1, f"the fastest, {best['framework']} {best['name']}, reaches {share:.0%} of that product")
    return Rows(entry["case"]["name"], columns, rows, notes)


def _ceilings(ceilings: Mapping[str, Any]) -> str:
    calls = ", ".join(f"{framework} {figure(1e6 * seconds)} us" for framework, seconds in ceilings["call_s"].items())
    product, copy = figure(1e-9 * ceilings["flop_s"]), figure(1e-9 * ceilings["bytes_s"])
    told = f"measured here: a large product {product} GFLOP/s, a copy {copy} GB/s, an empty call {calls}"
    if ceilings["launch_s"] is not None:
        launch, graph = figure(1e6 * ceilings["launch_s"]), figure(1e6 * ceilings["graph_s"])
        told += f", an empty kernel in a graph {launch} us, an empty graph {graph} us"
    return told


def _variant(found: Mapping[str, Any], notebook_us: float | None) -> list[str]:
    accuracy = (found["accuracy"] or {}).get("test") if found["step_us"] else None
    memory = found["memory"] or {}
    held = memory.get("peak_bytes") or memory.get("resident_bytes")
    times = found["times_notebook"] and found["times_notebook"]["median"]
    if notebook_us is not None and found["step_us"]:
        times = notebook_us / found["step_us"]["median"]
    return [
        found["framework"], found["name"], with_interval(found["step_us"]),
        NONE if found["run_ms"] is None else figure(found["run_ms"]["median"]),
        figure(times), figure(found["times_floor"]),
        figure(_compiling(found)), figure(None if held is None else held / 1e6), figure(accuracy), found["verdict"],
    ]  # fmt: skip


def _cold(found: Mapping[str, Any]) -> Mapping[str, float] | None:
    """The start of a process with empty caches, where it was timed."""
    cold: Mapping[str, float] | None = (found["startup"] or {}).get("cold")
    return cold


def _compiling(found: Mapping[str, Any]) -> float | None:
    """Seconds by which the first run with empty caches is longer than a later one."""
    cold = _cold(found)
    return None if cold is None else max(cold["first_run_s"] - 1e-3 * found["run_ms"]["median"], 0.0)


def _starting(entry: Mapping[str, Any]) -> Rows:
    rows = []
    for found in entry["variants"]:
        if cold := _cold(found):
            warm = found["startup"]["warm"] or {}
            first = (cold["import_s"], cold["data_s"], cold["first_run_s"], warm.get("first_run_s"))
            hot = 1e-3 * found["run_ms"]["median"]
            ends = (cold["process_s"], warm.get("process_s"), found["paid_after_steps"])
            rows.append([found["framework"], found["name"], *map(figure, (*first, hot, *ends))])
    columns = (
        "side", "variant", "import", "data", "first run cold", "warm", "hot", "to result cold", "warm", "paid after",
    )  # fmt: skip
    note = "seconds; `paid after`: the steps after which a cold start has caught up with the notebook's loop"
    return Rows(f"{entry['case']['name']}: starting", columns, rows, (note,))


def _pairs(entry: Mapping[str, Any]) -> Rows:
    rows = [
        [pair["first"], pair["second"], with_interval(pair["ratio"]), _said(pair["differs"], pair["ratio"]["median"])]
        for pair in entry["pairs"]
    ]
    rows += [
        [f"{twin['framework']} {twin['name']}", "itself, once more", with_interval(twin["ratio"]), "noise"]
        for twin in entry["twins"]
    ]
    return Rows(f"{entry['case']['name']}: pairs", ("first", "second", "first / second", "says"), rows, ())


def _said(differs: bool | None, median: float) -> str:
    if differs is None:
        return "noise not measured"
    return (
        "no difference beyond noise" if not differs else "the second is faster" if median > 1 else "the first is faster"
    )


def _sizes(document: Mapping[str, Any], entries: Sequence[Mapping[str, Any]]) -> Rows:
    names = dict.fromkeys(
        f"{found['framework']} {found['name']}"
        for entry in entries for found in entry["variants"] if not found["twin"] and found["step_us"]
    )  # fmt: skip
    rows = []
    for entry in entries:
        steps = {
            f"{found['framework']} {found['name']}": found["step_us"]
            for found in entry["variants"]
            if not found["twin"]
        }
        medians = {name: steps[name]["median"] for name in names if steps.get(name)}
        cells = [figure(medians.get(name)) for name in names]
        case = entry["case"]
        fastest = _fastest(medians, noise_at(document, entry))
        rows.append([case["precision"], str(case["width"]), str(case["batch_size"]), *cells, fastest])
    note = "nothing is timed twice here: what is within the notebook's size's noise of the fastest stands beside it"
    return Rows("sizes: us a step", ("precision", "width", "batch", *names, "fastest"), rows, (note,))


def _fastest(medians: Mapping[str, float], noise: float | None) -> str:
    """The fastest, and what cannot be told from it."""
    if not medians or noise is None:
        return "noise not measured" if medians else NONE
    best = min(medians.values())
    return ", ".join(
        sorted((name for name in medians if medians[name] <= best * noise), key=lambda name: medians[name])
    )


def _goals(wanted: Sequence[Goal]) -> Rows:
    rows = [
        [goal.what, figure(goal.value), f"at {'least' if goal.at_least else 'most'} {figure(goal.enough)}",
         figure(goal.aim), goal.says]
        for goal in wanted
    ]  # fmt: skip
    return Rows("goals", ("MNIST", "measured", "goal", "aim", "says"), rows, ())


def show(console: Console, document: Mapping[str, Any]) -> None:
    """Print all tables."""
    for table in tables(document):
        shown = Table(title=Text(table.title), title_justify="left", box=None, pad_edge=False, header_style="bold")
        for place, column in enumerate(table.columns):
            shown.add_column(column, justify="left" if place < 2 or place == len(table.columns) - 1 else "right")
        for row in table.rows:
            shown.add_row(*(Text(cell) for cell in row[:-1]), Text(row[-1], style=STYLES.get(row[-1], "")))
        console.print(shown)
        for note in table.notes:
            console.print(Text(f"  {note}", style="dim"), soft_wrap=not console.is_terminal)
        console.print()


def show_changes(console: Console, found: Comparison) -> None:
    """Print what became of each variant; below, why some have no time, and what both results were measured under."""
    shown = Table(box=None, pad_edge=False, header_style="bold")
    for place, column in enumerate(("case", "variant", "old, us", "new, us", "new / old", "over drift", "says")):
        shown.add_column(column, justify="left" if place in (0, 1, 6) else "right")
    for change in found.changes:
        figures = map(figure, (change.old_us, change.new_us, change.ratio, change.beside))
        style = "bold red" if change.says in WORSE else ""
        shown.add_row(*map(Text, (change.case, change.variant, *figures)), Text(change.says, style=style))
    console.print(shown)
    reasons = [f"{change.case}, {change.variant}: {change.why}" for change in found.changes if change.why]
    for note in (*reasons, *found.notes):
        console.print(Text(f"  {note}", style="dim"), soft_wrap=not console.is_terminal)


def markdown(table: Rows) -> str:
    """A table and its notes in Markdown."""
    lines = ["| " + " | ".join(row) + " |" for row in (table.columns, ["---"] * len(table.columns), *table.rows)]
    return "\n".join([f"### {table.title}", "", *lines, "", *(f"- {note}" for note in table.notes)]).rstrip() + "\n"
