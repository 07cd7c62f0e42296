"""The table of layers of `make proof`, and docs/layers.md, which shows it with what Flax has no equal of."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any

from parity.judging.distance.limits import capped
from parity.recording import USUAL_DTYPES
from parity.verdict import Comparison, Verdict
from parity_tests.ports.functions import FUNCTIONS
from parity_tests.ports.layer_case import LayerCase
from parity_tests.ports.layers import LAYERS
from parity_tests.ports.pools import POOLS
from parity_tests.ports.together import SIZES, case_of, outputs_of
from parity_tests.proof import ROOT, hand_in, put, rows, table

PAGE = ROOT / "docs" / "layers.md"
TABLES = {"layers": LAYERS, "pools": POOLS, "functions": FUNCTIONS}
TITLES = {"layers": "Layers with parameters", "pools": "Pooling", "functions": "Activations and losses"}
PARTS = {"forward": ("forward", "score"), "backward": ("backward",), "state": ("update", "trajectory")}
"""What is told of a layer, and the stages that it is taken from."""


def hand_in_layers(name: str, cases: Sequence[LayerCase], verdict: Verdict) -> None:
    """Keep the figures of all these cases, which the verdict is on, for the page."""
    outputs = outputs_of(cases)
    of_case: dict[str, list[Comparison]] = {case.name: [] for case in cases}
    for comparison in verdict.comparisons:
        if comparison.limit and (case := case_of(cases, comparison.key, outputs)):
            of_case[case].append(comparison)
    hand_in("layers", name, {case: _figures(found) for case, found in of_case.items()})


def _figures(comparisons: list[Comparison]) -> dict[str, Any]:
    row: dict[str, Any] = {"outcome": "differ" if any(c.outcome == "differ" for c in comparisons) else "agree"}
    for part, stages in PARTS.items():
        row[part] = _largest(c.difference for c in comparisons if c.dtype == "float64" and c.key.stage in stages)
    for side in ("torch", "jax"):
        row[side] = _largest(c.difference for c in comparisons if c.side == side)
    for dtype in USUAL_DTYPES:
        # Of each tensor the nearest wrong answer, and of a layer the tensor that shows it best. Only those that are
        # asked for lower precision count: the others have no answer that is so near.
        powers = [c.power for c in comparisons if c.dtype == dtype and c.power is not None and capped(c.key)]
        row[f"power {dtype}"] = _largest(powers)
    return row


def _largest(figures: Iterable[float]) -> float:
    return max(figures, default=0.0)


def missing_layers() -> list[str]:
    """What the page would lack: cases of which no test has handed in figures."""
    found = rows("layers")
    return [
        f"layers: {case.name}"
        for name, cases in TABLES.items()
        for case in cases
        if not case.float32_inside and case.name not in found.get(name, {})
    ]


def write_layers() -> str:
    """Write docs/layers.md, and say so in a line."""
    put(PAGE, page())
    return f"written: {PAGE.relative_to(ROOT)}"


def page() -> str:
    """docs/layers.md."""
    sizes = ", ".join(f"{count} of size {size}" for count, size in SIZES)
    tables = "\n\n".join(f"### {TITLES[name]}\n\n{_table(name)}" for name in TABLES)
    return PAGE_TEXT.format(sizes=sizes, tables=tables, lacking=_lacking(), lowered=_lowered())


def _table(name: str) -> str:
    found = rows("layers")[name]
    cases = [case for case in TABLES[name] if not case.float32_inside]
    lines = []
    for case in cases:
        row = found[case.name]
        figures = [f"{row[part]:.0e}" for part in (*PARTS, "torch", "jax")]
        lines.append(
            [case.name, row["outcome"], *figures, f"{row['power float64']:.0e}", f"{row['power float32']:.0e}"]
        )
    header = ("layer", "verdict", *PARTS, "float32, torch", "float32, JAX", "power, float64", "power, float32")
    return table(header, lines)


def _lacking() -> str:
    """Each lack once, with the layers that have it."""
    by_text: dict[str, list[str]] = {}
    for case in (case for cases in TABLES.values() for case in cases):
        # Without a reduction a loss lacks nothing that it does not lack with one.
        if case.missing and ", none" not in case.name:
            by_text.setdefault(case.missing, []).append(_kind(case.name))
    return table(("layer of torch", "Flax or Optax"), [["; ".join(dict.fromkeys(k)), t] for t, k in by_text.items()])


def _kind(name: str) -> str:
    """A case's name without what only varies its settings; of a loss, without its reduction alone."""
    if "Loss" in name:
        return re.split(r", (?:mean|sum|batchmean)", name)[0]
    return name if name.startswith("Embedding") else name.partition(",")[0]


def _lowered() -> str:
    return ", ".join(case.name for cases in TABLES.values() for case in cases if case.float32_inside)


PAGE_TEXT = """\
# Layers of torch beside their counterparts

Written by `make proof`. Do not edit.

## Each alone beside its counterpart

Differences and distances are relative to the tensor's scale: in float64 between the two sides, forward (in training and
in evaluation mode), backward (at parameters and inputs) and state (parameters, statistics and momentum after every
step), where no limit is above 1e-12; in float32 each side's from the float64 judge. Power: how many limits away the
nearest wrong answer is, for the output or gradient of the layer that shows it best; lower precision counts as a wrong
answer, in float32 only where there are products of matrices. Parameters and statistics are drawn; the batches are
{sizes}, where an axis is odd the next is even.

{tables}

Red in float64, since a side computes something in float32 whatever its dtype: {lowered}.

## Where Flax has no equal of a torch layer

The counterparts in `parity_tests/ports` stand for what is missing here.

{lacking}
"""
