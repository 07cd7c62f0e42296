"""The Markdown page of a result: what was measured on what, how to read it, tables and plots."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.noise import brackets, is_interval, other_work
from benchmarks.tables import markdown, tables

HOW = """\
Each variant runs in a process of its own. One clock of the host goes from the submission of a run to its synchronized
end; parameters and data are on the device before, but for `notebook`, which draws its batches on the host and brings
each there, as the notebook does. Rounds are shuffled, partners stand beside each other. Figures are medians over
rounds, with as many digits as their interval bears, in brackets {brackets}; a pair's ratio is taken round by round.

`x notebook`: times faster than the notebook's loop. `x floor`: times the least that the step's arithmetic, memory
traffic or launches can take on this machine. `first run`: by how many seconds it is longer than a later one where the
caches of compiled programs are empty (cold), since it compiles, or loads what is loaded late; warm is a process that
finds them full. Each start is timed once (n = 1). `MB`: on a GPU the framework's own count, on a CPU the whole process.
`accuracy`: on the 10,000 test images. A variant that does not do what the float64 judge does has no time.
"""


def page(document: Mapping[str, Any], plots: Sequence[Path]) -> str:
    """The page; `plots` are the image files beside it."""
    machine, command = document["machine"], shlex.join(document["command"])
    gpus = ", ".join(gpu["name"] for gpu in machine["gpus"]) or "no GPU"
    versions = ", ".join(f"{name} {found}" for name, found in machine["versions"].items())
    ends = brackets(document) if is_interval(document) else f"{brackets(document)} (too few rounds for a 95 % interval)"
    doubt = other_work(document)
    lines = [
        "# Benchmark",
        f"`{command}` on {document['begun_at'][:10]}, {document['seconds']:.0f} s: {machine['processor']}, "
        f"{machine['cores']} cores, {gpus}; Python {machine['python']}, {versions}; {document['rounds']} rounds.",
        *([f"**{doubt[0].upper()}{doubt[1:]}.**"] if doubt else []),
        HOW.format(brackets=ends).rstrip(),
        *(markdown(table).rstrip() for table in tables(document)),
        *(f"![{plot.stem}]({plot.name})" for plot in plots if plot.suffix == ".svg"),
    ]
    return "\n\n".join(lines) + "\n"
