"""The tables of a result, as rows of text; shown by Rich in a terminal and as Markdown on a page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from rich.console import Console
from rich.table import Table
from rich.text import Text

from benchmarks.case import Case
from benchmarks.compare import WORSE, Comparison
from benchmarks.figures import NONE, borne, figure, with_interval
from benchmarks.goals import Goal, goals
from benchmarks.noise import brackets, is_interval, is_swept, noise_at, other_work
from benchmarks.rows import full_name, timed_once
from parity.recording import FRAMEWORKS

GAP = 2
"""Columns of the terminal between two of a table."""
STYLES = {"right": "green", "wrong": "bold red", "inconclusive": "bold yellow", "failed": "bold red", "not run": "dim"}


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
            _variants(entry, _notebook_us(document, entry), _bracketed(document)),
            *([_pairs(entry, _bracketed(document))] if entry["pairs"] or entry["twins"] else []),
        ]
        found += [_starting(entry)] if any(map(_cold, entry["variants"])) else []
    # What a step takes depends on how many are in a run, so each number of them has a table.
    for steps in dict.fromkeys(entry["case"]["steps"] for entry in swept):
        found.append(_sizes(document, [entry for entry in swept if entry["case"]["steps"] == steps], steps))
    wanted = goals(document)
    return found + ([_goals(wanted, _bracketed(document))] if wanted else [])


def _bracketed(document: Mapping[str, Any]) -> str:
    """What stands in brackets, as a note."""
    told = f"in brackets: {brackets(document)}"
    return told if is_interval(document) else f"{told}; {document['rounds']} rounds are too few for a 95 % interval"


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


def _variants(entry: Mapping[str, Any], notebook_us: float | None, bracketed: str) -> Rows:
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
    reasons = [f"{full_name(found)}: {found['reason']}" for found in entry["variants"] if found["reason"]]
    seeds = [_of_seeds(entry["case"]["seeds"], notebook_us)] if entry["case"]["seeds"] > 1 else []
    return Rows(entry["case"]["name"], columns, rows, [bracketed, *_reached(entry), *seeds, *reasons])


def _of_seeds(seeds: int, notebook_us: float | None) -> str:
    beside = "; `x notebook` is beside the notebook's loop of one seed, in its own rounds"
    return f"a step is that of one of the {seeds} seeds{'' if notebook_us is None else beside}"


def _reached(entry: Mapping[str, Any]) -> list[str]:
    """What the machine was measured to do, and how much of that the fastest variant does; nothing where it was not."""
    if not (ceilings := entry["ceilings"]):
        return []
    told = [_ceilings(ceilings)]
    timed = [found for found in entry["variants"] if found["step_us"]]
    if timed and entry["work"]["flop"]:
        best = min(timed, key=lambda found: found["step_us"]["median"])
        share = entry["work"]["flop"] / (1e-6 * best["step_us"]["median"]) / ceilings["flop_s"]
        told.append(f"the fastest, {full_name(best)}, reaches {share:.0%} of that product")
    if any(found["times_floor"] and found["times_floor"] < 1 for found in timed):
        # One framework alone may have no product as good as the one inside a variant.
        why = "beside other work" if len(ceilings["call_s"]) == len(FRAMEWORKS) else "by one framework alone"
        told.append(f"nothing is faster than its floor: what the machine can do was measured too low, {why}")
    return told


def _ceilings(ceilings: Mapping[str, Any]) -> str:
    measured_by = " and ".join(ceilings["call_s"])
    by = f"the best of {measured_by}" if len(ceilings["call_s"]) > 1 else f"by {measured_by} alone"
    calls = ", ".join(f"{framework} {figure(1e6 * seconds)} us" for framework, seconds in ceilings["call_s"].items())
    product, copy = figure(1e-9 * ceilings["flop_s"]), figure(1e-9 * ceilings["bytes_s"])
    told = f"measured here, {by}: a large product {product} GFLOP/s, a copy {copy} GB/s, an empty call {calls}"
    if ceilings["launch_s"] is not None:
        launch, graph = figure(1e6 * ceilings["launch_s"]), figure(1e6 * ceilings["graph_s"])
        told += f", an empty kernel in a graph {launch} us, an empty graph {graph} us"
    return told


def _variant(found: Mapping[str, Any], notebook_us: float | None) -> list[str]:
    accuracy = (found["accuracy"] or {}).get("test") if found["step_us"] else None
    memory = found["memory"] or {}
    held = memory.get("peak_bytes") or memory.get("resident_bytes")
    step, run, ratio = (found[name] for name in ("step_us", "run_ms", "times_notebook"))
    times = figure(ratio and ratio["median"], borne(ratio))
    if notebook_us is not None and step:
        times = figure(notebook_us / step["median"], borne(step))
    return [
        found["framework"], found["name"], with_interval(step), figure(run and run["median"], borne(run)),
        times, figure(found["times_floor"], borne(step)),
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
    note = (
        "seconds, of one cold and one warm start each; "
        "`paid after`: the steps after which a cold start has caught up with the notebook's loop, by these"
    )
    return Rows(f"{entry['case']['name']}: starting, n = 1", columns, rows, (note,))


def _pairs(entry: Mapping[str, Any], bracketed: str) -> Rows:
    rows = [
        [pair["first"], pair["second"], with_interval(pair["ratio"]), _said(pair["differs"], pair["ratio"]["median"])]
        for pair in entry["pairs"]
    ]
    rows += [[full_name(twin), "itself, once more", with_interval(twin["ratio"]), "noise"] for twin in entry["twins"]]
    return Rows(f"{entry['case']['name']}: pairs", ("first", "second", "first / second", "says"), rows, (bracketed,))


def _said(differs: bool | None, median: float) -> str:
    if differs is None:
        return "noise not measured"
    return (
        "no difference beyond noise" if not differs else "the second is faster" if median > 1 else "the first is faster"
    )


def _sizes(document: Mapping[str, Any], entries: Sequence[Mapping[str, Any]], steps_of_run: int) -> Rows:
    names = dict.fromkeys(
        full_name(found) for entry in entries for found in timed_once(entry)
    )  # fmt: skip
    rows = []
    for entry in entries:
        steps = {full_name(found): found["step_us"] for found in timed_once(entry)}
        medians = {name: steps[name]["median"] for name in names if name in steps}
        cells = [figure(medians.get(name), borne(steps.get(name))) for name in names]
        case = entry["case"]
        fastest = _fastest(medians, noise_at(document, entry))
        rows.append([case["precision"], str(case["width"]), str(case["batch_size"]), *cells, fastest])
    note = "nothing is timed twice here: what is within the notebook's size's noise of the fastest stands beside it"
    title = f"sizes: us a step, in runs of {steps_of_run} steps"
    return Rows(title, ("precision", "width", "batch", *names, "fastest"), rows, (note,))


def _fastest(medians: Mapping[str, float], noise: float | None) -> str:
    """The fastest, and what cannot be told from it."""
    if not medians or noise is None:
        return "noise not measured" if medians else NONE
    best = min(medians.values())
    return ", ".join(
        sorted((name for name in medians if medians[name] <= best * noise), key=lambda name: medians[name])
    )


def _goals(wanted: Sequence[Goal], bracketed: str) -> Rows:
    rows = [
        [goal.what, with_interval(goal.interval) if goal.interval else figure(goal.value),
         f"at {'least' if goal.at_least else 'most'} {goal.enough:g}",
         NONE if goal.aim is None else f"{goal.aim:g}", goal.says]
        for goal in wanted
    ]  # fmt: skip
    return Rows("goals", ("MNIST", "measured", "goal", "aim", "says"), rows, (bracketed,))


def show(console: Console, document: Mapping[str, Any]) -> None:
    """Print all tables, and at the end what throws doubt on them."""
    for table in tables(document):
        rows = [[*map(Text, row[:-1]), Text(row[-1], style=STYLES.get(row[-1], ""))] for row in table.rows]
        _print(console, table.columns, rows, Text(table.title))
        for note in table.notes:
            console.print(Text(f"  {note}", style="dim"), soft_wrap=not console.is_terminal)
        console.print()
    if doubt := other_work(document):
        console.print(Text(f"{doubt}.", style="bold yellow"), soft_wrap=not console.is_terminal)


def show_changes(console: Console, found: Comparison) -> None:
    """Print what became of each variant; below, why some have no time, and what both results were measured under."""
    rows = []
    for change in found.changes:
        figures = map(figure, (change.old_us, change.new_us, change.ratio, change.beside))
        style = "bold red" if change.says in WORSE else ""
        rows.append([*map(Text, (change.case, change.variant, *figures)), Text(change.says, style=style)])
    _print(console, ("case", "variant", "old, us", "new, us", "new / old", "over drift", "says"), rows)
    reasons = [f"{change.case}, {change.variant}: {change.why}" for change in found.changes if change.why]
    for note in (*reasons, *found.notes):
        console.print(Text(f"  {note}", style="dim"), soft_wrap=not console.is_terminal)


def _print(console: Console, columns: Sequence[str], rows: Sequence[Sequence[Text]], title: Text | None = None) -> None:
    """Print a table as wide as the terminal, or wider where a name or a figure would be cut off."""
    gaps, room = GAP * (len(columns) - 1), console.width
    cells = [[column, *(row[place].plain for row in rows)] for place, column in enumerate(columns)]
    widths = _widths(cells, room - gaps)
    shown = Table(title=title, title_justify="left", box=None, pad_edge=False, header_style="bold")
    for place, (column, width) in enumerate(zip(columns, widths, strict=True)):
        left = place < 2 or place == len(columns) - 1
        shown.add_column(column, justify="left" if left else "right", width=width)
    for row in rows:
        shown.add_row(*row)
    console.width = max(room, sum(widths) + gaps)
    console.print(shown)
    console.width = room


def _widths(cells: Sequence[Sequence[str]], room: int) -> list[int]:
    """The width of each column: of its longest word, and, as far as there is room, of its longest cell."""
    widths = [max(len(word) for cell in column for word in cell.split()) for column in cells]
    for place, column in enumerate(cells):
        widths[place] += min(max(map(len, column)) - widths[place], max(room - sum(widths), 0))
    return widths


def markdown(table: Rows) -> str:
    """A table and its notes in Markdown."""
    lines = ["| " + " | ".join(row) + " |" for row in (table.columns, ["---"] * len(table.columns), *table.rows)]
    return "\n".join([f"### {table.title}", "", *lines, "", *(f"- {note}" for note in table.notes)]).rstrip() + "\n"
