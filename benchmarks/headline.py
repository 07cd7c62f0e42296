"""The headline of all results that are kept: the table that the project's README shows."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmarks.figures import borne, figure, with_interval
from benchmarks.noise import brackets, is_swept
from benchmarks.reading import read
from benchmarks.rows import full_name, timed_once

RESULTS = Path(__file__).parent / "results"
ROWS = ("torch notebook", "jax nnx_jit")
"""Told beside the fastest of each side: what people write."""

Found = Mapping[str, Any]


def headline(folder: Path = RESULTS) -> str:
    """A Markdown table of MNIST for each result below the folder, in the order of their names.

    Raises:
        NotCheckable: a result cannot be read.
    """
    return "\n\n".join(_result(file.parent.name, read(file)) for file in sorted(folder.glob("*/result.json")))


def _result(name: str, document: Found) -> str:
    machine = document["machine"]
    gpus = "".join(f", {gpu['name']}" for gpu in machine["gpus"])
    # One framework alone may have been timed.
    known = [package for package in ("torch", "jax", "flax") if package in machine["versions"]]
    versions = ", ".join(f"{package} {machine['versions'][package]}" for package in known)
    lines = ["| MNIST | variant | us a step | times the notebook's speed |", "| --- | --- | --- | --- |"]
    for entry in document["cases"]:
        if entry["case"]["problem"] == "mnist" and entry["case"]["seeds"] == 1 and not is_swept(entry["case"]):
            lines += [_row(entry["case"]["precision"], found) for found in _shown(entry)]
    rounds = f"{document['rounds']} rounds, in brackets {brackets(document)}"
    told = f"{machine['cores']} cores of {machine['processor']}{gpus}; {versions}; {rounds}"
    return "\n".join([*lines, "", f"`benchmarks/results/{name}`, {document['begun_at'][:10]}: {told}."])


def _shown(entry: Found) -> list[Found]:
    """What people write and the fastest of each side, the slowest of them first."""
    timed = timed_once(entry)
    fastest = [
        min(side, key=_step) for framework in ("torch", "jax")
        if (side := [found for found in timed if found["framework"] == framework])
    ]  # fmt: skip
    shown = [found for found in timed if found in fastest or full_name(found) in ROWS]
    return sorted(shown, key=_step, reverse=True)


def _step(found: Found) -> float:
    return float(found["step_us"]["median"])


def _row(precision: str, found: Found) -> str:
    times = found["times_notebook"]
    speed = figure(times and times["median"], borne(times))
    return f"| {precision} | {found['framework']} `{found['name']}` | {with_interval(found['step_us'])} | {speed} |"


if __name__ == "__main__":
    print(headline())
