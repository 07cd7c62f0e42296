"""The tables of `make proof`. Tests marked `proof` hand in rows; `python -m parity_tests.proof` writes docs/proof.md
and docs/layers.md.

Rows wait in build/proof, one file each, so that a test that is run again replaces its own row.
"""

from __future__ import annotations

import json
import os
import platform
import sys
from collections.abc import Iterable, Sequence
from datetime import date
from importlib.metadata import version
from pathlib import Path
from typing import Any

from parity_tests.planted import MISTAKES
from parity_tests.ports.mistakes import MISTAKES as IN_PORTS

ROOT = Path(__file__).resolve().parent.parent
ROWS = ROOT / "build" / "proof"
PAGE = ROOT / "docs" / "proof.md"
PROBLEMS = ("line_fit", "mlp", "mnist")
ALARM_SEEDS = range(20)
FIGURE_SEEDS = range(5)
PACKAGES = ("torch", "jax", "flax", "optax", "numpy")
NOT_RUN = "not run"
Row = dict[str, Any]


def hand_in(table: str, name: str, row: Row) -> None:
    """Keep a row for the page, in place of an earlier one of the same table and name."""
    file = ROWS / table / f"{name.replace('/', ' ')}.json"
    file.parent.mkdir(parents=True, exist_ok=True)
    put(file, json.dumps(row))


def put(file: Path, content: str) -> None:
    """Write a file in place of an earlier one, whole or not at all."""
    new = file.with_suffix(".new")
    new.write_text(content)
    os.replace(new, file)


def rows(table: str) -> dict[str, Row]:
    """All rows of a table, by name."""
    return {file.stem: json.loads(file.read_text()) for file in sorted((ROWS / table).glob("*.json"))}


def missing() -> list[str]:
    """What the page would lack: rows that no test has handed in."""
    wanted = [("planted", f"{problem} {mistake.name}") for mistake in MISTAKES for problem in mistake.problems]
    wanted += [("seeds", f"{problem} {seed}") for problem in PROBLEMS for seed in ALARM_SEEDS]
    wanted += [("figures", f"{problem} {seed}") for problem in PROBLEMS for seed in FIGURE_SEEDS]
    wanted += [("planted in ports", f"{port} {mistake.name}") for port in IN_PORTS for mistake in IN_PORTS[port]]
    wanted += [("seeds of ports", f"{port} {seed}") for port in IN_PORTS for seed in ALARM_SEEDS]
    there = {table: set(rows(table)) for table, _ in wanted}
    return [f"{table}: {name}" for table, name in wanted if name.replace("/", " ") not in there[table]]


def table(header: Sequence[str], lines: Iterable[Sequence[str]]) -> str:
    """A Markdown table."""
    body = ["| " + " | ".join(line) + " |" for line in (header, ["---"] * len(header), *lines)]
    return "\n".join(body)


def planted_table() -> str:
    """Where every mistake was caught, on every pair in which it can be made."""
    found = rows("planted")
    lines = []
    for mistake in MISTAKES:
        cells = [found.get(f"{problem} {mistake.name}") for problem in PROBLEMS]
        lines.append([mistake.name, *("" if cell is None else str(cell["caught"]) for cell in cells)])
    return table(("mistake, side", *PROBLEMS), lines)


def planted_in_ports() -> str:
    """The same for the ports, a table each."""
    found = rows("planted in ports")
    header = ("mistake, side", "what was said")
    tables = []
    for port, mistakes in IN_PORTS.items():
        rows_of = [(m.name, found.get(f"{port} {m.name}".replace("/", " "))) for m in mistakes]
        said = [(name, NOT_RUN if row is None else str(row["caught"])) for name, row in rows_of]
        tables.append(f"### {port}: {len(said)} mistakes\n\n{table(header, said)}")
    return "\n\n".join(tables)


def seeds_table(kept: str, pairs: Iterable[str]) -> str:
    """How near twenty right pairs came to a false alarm."""
    lines = []
    for problem in pairs:
        found = [row for name, row in rows(kept).items() if name.startswith(f"{problem} ")]
        if not found:
            lines.append([problem, NOT_RUN, *[""] * 4])
            continue
        lines.append(
            [
                problem,
                f"{sum(row['outcome'] == 'agree' for row in found)} of {len(found)}",
                f"{max(row['float64'] for row in found):.2f}",
                f"{max(row['float32'] for row in found):.2f}",
                f"{min(row['power'] for row in found):.3g}",
                str(sum(row["flips"] for row in found)),
            ]
        )
    header = ("pair", "agree", "nearest float64 difference, in limits", "nearest float32 distance, in limits",
              "smallest power", "gradients judged again after a flip")  # fmt: skip
    return table(header, lines)


def figures_table() -> str:
    """The largest float64 differences of every loop over all steps and seeds."""
    largest: dict[tuple[str, str], dict[str, float]] = {}
    for name, row in rows("figures").items():
        problem = name.rsplit(" ", 1)[0]
        for figures in row["by_loop"]:
            kept = largest.setdefault((problem, figures["loop"] or "each side's own steps"), {})
            for group in GROUPS:
                if figures[group] is not None:
                    kept[group] = max(kept.get(group, 0.0), figures[group])
    lines = [
        [problem, loop, *(f"{kept[group]:.1e}" if group in kept else "" for group in GROUPS)]
        for (problem, loop), kept in largest.items()
    ]
    return table(("pair", "loop", "losses", "gradients", "optimizer state", "parameters"), lines)


GROUPS = ("losses", "gradients", "optimizer_state", "parameters")


def page(lacking: int = 0) -> str:
    """docs/proof.md, which so many rows are missing from."""
    versions = ", ".join(f"{name} {version(name)}" for name in PACKAGES)
    machine = f"{os.cpu_count()} CPU cores ({platform.machine()}), no GPU"
    return PAGE_TEXT.format(
        lacking=f" Not all was run: {lacking} checks are missing below, where it says so." if lacking else "",
        when=date.today(), python=platform.python_version(), versions=versions, machine=machine,
        planted=planted_table(), alarms=ALARM_SEEDS[-1], seeds=seeds_table("seeds", PROBLEMS),
        planted_in_ports=planted_in_ports(), seeds_of_ports=seeds_table("seeds of ports", IN_PORTS),
        last_figure=FIGURE_SEEDS[-1], figures=figures_table(),
    )  # fmt: skip


PAGE_TEXT = """\
# What `make proof` showed

Written by `make proof` on {when}: Python {python}, {versions}, {machine}. Do not edit.{lacking}

## Planted mistakes

Each mistake is planted into one side (or both) of a right pair and must be the first difference that `parity` reports,
at the stage, step and tensor where it stands, or make the check inconclusive. An empty cell: it cannot be made there.

{planted}

## Mistakes planted into real ports

One at a time into the pairs of six ports, in two steps; into ResNet-18 on four images of 32x32. Each must be the first
difference that `parity` reports, at the stage, step and tensor where it stands, or, where a model draws its own random
numbers, make the check inconclusive. What happens inside torch's recurrent layers is seen where their output goes.

{planted_in_ports}

## No false alarm

The right pairs, seeds 0 to {alarms}, all 100 steps, in float64 and in float32. Beyond 1 would be an alarm.
In float64 a figure just below 1 is one below the floor of the limit, 1e-12: only beyond it is noise drawn, which puts
the limit where it belongs.

{seeds}

The ports, seeds 0 to {alarms}, all steps of their pairs, in float64 and in float32. Here a float64 limit comes from
noise, and is never above 1e-9.

{seeds_of_ports}

## Agreement in float64

The largest difference, relative to the tensor's scale, over 100 steps and seeds 0 to {last_figure}, of the two sides'
own steps and of every loop against the judge. Held to 1e-13 for losses, 1e-11 for gradients and optimizer state,
1e-10 for parameters.

{figures}
"""


def main() -> None:
    """Write the pages, or say which rows are missing and exit with status 1.

    With `--partial` docs/proof.md is written all the same, and says where what was not run. It takes an hour on two
    cores to run all.
    """
    # It takes its rows from here.
    from parity_tests.ports.proof import missing_layers, write_layers

    partial = "--partial" in sys.argv[1:]
    lacking, of_layers = missing(), missing_layers()
    if (lacking or of_layers) and not partial:
        first = (lacking + of_layers)[:3]
        more = f" and {len(lacking + of_layers) - 3} more" if len(lacking + of_layers) > 3 else ""
        told = f"no row for {'; '.join(first)}{more}. Run make proof, or call this with --partial."
        sys.exit(f"docs/proof.md is not written: {told}")
    put(PAGE, page(len(lacking)))
    print(f"written: {PAGE.relative_to(ROOT)}{f', {len(lacking)} rows missing' if lacking else ''}")
    print("docs/layers.md stays as it is" if of_layers else write_layers())


if __name__ == "__main__":
    main()
