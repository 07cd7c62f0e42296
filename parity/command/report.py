"""A verdict as people read it: a table with one row a stage, and a few lines below it."""

from __future__ import annotations

import math
from collections.abc import Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from parity.pair.pair import Pair
from parity.recording import DTYPES, FRAMEWORKS, USUAL_DTYPES, Framework
from parity.verdict import Against, Cause, Comparison, Outcome, Score, StageVerdict, Verdict, worst

STYLES: dict[Outcome, str] = {"agree": "green", "differ": "bold red", "inconclusive": "bold yellow"}
NAMES: dict[Framework, str] = {"torch": "torch", "jax": "JAX"}
WIDE = 98
"""From this width on the table gives each side's limit a column of its own and more room between columns."""
NARROW = 80
"""The width that a table needs so that no figure is cut off."""
INCOMPARABLE: tuple[Cause, ...] = ("missing", "dtype", "NaN", "infinity", "shape", "bytes")
"""Causes that stand in the table for a difference that has no figure."""
LISTED = 3
"""Listed lines that are printed; the rest is counted."""


def figure(value: float) -> str:
    """A difference or a limit, two significant digits."""
    return f"{value:.1e}" if value and math.isfinite(value) else f"{value:g}"


def short(value: float | None) -> str:
    """A figure whose size matters and not its digits: eps, power."""
    if value is None:
        return "-"
    if not math.isfinite(value) or value == 0:
        return f"{value:g}"
    if value < 9.95:
        return f"{value:.1f}" if value >= 0.05 else f"{value:.0e}"
    return f"{value:.0f}" if value < 999.5 else f"{value:.0e}".replace("e+0", "e").replace("e+", "e")


def print_verdict(console: Console, pair: Pair, verdict: Verdict) -> None:
    """Print the table of one pair and what belongs to it."""
    heading = Text(verdict.pair, style="bold")
    heading.append(f"  {verdict.steps} steps, seed {verdict.seed}, {verdict.device}", style="not bold")
    if verdict.against:
        heading.append(f"; {_against(verdict.against)}", style="not bold")
    if verdict.not_asked:
        heading.append(f"; not asked: {', '.join(verdict.not_asked)}", style="bold yellow")
    console.print(heading, soft_wrap=not console.is_terminal)
    console.print(_stage_table(verdict.stages, console.width, _names(verdict)))
    if "bfloat16" in verdict.dtypes:
        console.print(_bfloat16_table(verdict.stages, _names(verdict)))
    for line in lines(pair, verdict):
        console.print(line, soft_wrap=not console.is_terminal)
    console.print()


def _names(verdict: Verdict) -> dict[Framework, str]:
    return (verdict.against.names if verdict.against else {}) or NAMES


def _against(against: Against) -> str:
    """Which side was recorded, and where."""
    versions = f"{against.recorded} {against.versions.get(against.recorded, '')}".strip()
    return f"{NAMES[against.running]} against {versions} as recorded in {against.file}"


def _stage_table(stages: Sequence[StageVerdict], width: int, names: dict[Framework, str]) -> Table:
    """One row a stage. Each figure is that of the tensor and step which came nearest to its limit.

    `names` are what the sides are called. Where the two float32 limits differ, a narrow table has torch's above JAX's.
    """
    wide = width >= WIDE
    table = Table(box=None, pad_edge=False, padding=(0, 2 if wide else 1, 0, 0), header_style="bold")
    table.add_column("\nstage", no_wrap=True)
    first, second = (names[side] for side in FRAMEWORKS)
    limits = [f"float32\n{first}", *(["\nlimit"] if wide else []), f"\n{second}", "\nlimit"]
    for name in ["float64\ndifference", "\neps", "\nlimit", *limits, "power\nf64/f32"]:
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("\nverdict", no_wrap=True)
    for stage in stages:
        powers = [stage.power.get(dtype) for dtype in USUAL_DTYPES]
        power = "-" if powers == [None, None] else "/".join(map(short, powers))
        verdict = Text(stage.outcome, style=STYLES[stage.outcome])
        table.add_row(stage.stage, *_figures(stage.float64), *_float32(stage, wide), power, verdict)
    return table


def _bfloat16_table(stages: Sequence[StageVerdict], names: dict[Framework, str]) -> Table:
    """One row a stage, as in `_stage_table`, of what was compared in bfloat16."""
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    table.add_column("bfloat16", no_wrap=True)
    first, second = (names[side] for side in FRAMEWORKS)
    for name in (first, "eps", "limit", second, "eps", "limit", "power"):
        table.add_column(name, justify="right", no_wrap=True)
    for stage in stages:
        figures = [part for side in FRAMEWORKS for part in _figures(stage.bfloat16.get(side))]
        table.add_row(stage.stage, *figures, short(stage.power.get("bfloat16")))
    return table


def _figures(nearest: Comparison | None) -> tuple[str, str, str]:
    if nearest is None:
        return "-", "-", "-"
    return _difference(nearest), short(nearest.eps if math.isfinite(nearest.eps) else None), _limit(nearest)


def _float32(stage: StageVerdict, wide: bool) -> list[str]:
    nearest = [stage.float32.get(side) for side in FRAMEWORKS]
    distances = ["-" if found is None else _difference(found) for found in nearest]
    limits = ["-" if found is None else _limit(found) for found in nearest]
    if wide:
        return [distances[0], limits[0], distances[1], limits[1]]
    return [*distances, "\n".join(dict.fromkeys(limits))]


def _difference(comparison: Comparison) -> str:
    """The figure or, where the two cannot be compared at all, a word for what stands in the way."""
    has_figure = math.isfinite(comparison.difference) or comparison.cause not in INCOMPARABLE
    return figure(comparison.difference) if has_figure else comparison.cause


def _limit(comparison: Comparison) -> str:
    return figure(comparison.limit) if comparison.limit else "exact"


def _reasons(verdict: Verdict) -> list[Text]:
    """Why stages are not green; what is not proven of several for one reason is one line."""
    stages: dict[tuple[str, ...], list[StageVerdict]] = {}
    for stage in verdict.stages:
        if stage.reason:
            own = (stage.stage,) if stage.outcome == "differ" else ()
            stages.setdefault((stage.reason, *own), []).append(stage)
    return [
        Text(f"{', '.join(stage.stage for stage in of)}: {reason}", style=STYLES[of[0].outcome])
        for (reason, *_), of in stages.items()
    ]


def lines(pair: Pair, verdict: Verdict) -> list[Text]:
    """What stands below the table, a line each: what is wrong first, and in the end what was not seen and listed."""
    found = _reasons(verdict)
    if verdict.first_difference:
        found.insert(0, Text(f"first difference: {verdict.first_difference}", style=STYLES["differ"]))
    if verdict.starts:
        shown = [str(start) for start in verdict.starts[:LISTED]]
        more = len(verdict.starts) - len(shown)
        found.insert(1, Text(f"differences start {', '.join(shown)}{f', and at {more} more places' if more else ''}"))
    found += [Text(_score(pair, score, _names(verdict))) for score in verdict.scores]
    found += [Text(line) for line in (_kept(verdict), _curves(verdict), _loops(verdict)) if line]
    found += [Text(f"not seen: {line}", style=STYLES["inconclusive"]) for line in verdict.unseen]
    found += [Text(f"listed: {line}") for line in verdict.listed[:LISTED]]
    if len(verdict.listed) > LISTED:
        found.append(Text(f"listed: {len(verdict.listed) - LISTED} more; --json writes them all"))
    return found


def _score(pair: Pair, score: Score, names: dict[Framework, str]) -> str:
    counts = {
        dtype: ", ".join(f"{names[side]} {score.right[side, dtype]}/{score.total}" for side in FRAMEWORKS)
        for dtype in DTYPES
        if all((side, dtype) in score.right for side in FRAMEWORKS)
    }
    text = f"right answers on {pair.scored_on.get(score.name, score.name)}: "
    if len(set(counts.values())) == 1:
        return text + next(iter(counts.values()))
    return text + "; ".join(f"{found} in {dtype}" for dtype, found in counts.items())


def _kept(verdict: Verdict) -> str:
    """What of a recorded side there is to compare with, where that is not all."""
    against = verdict.against
    if against is None or len(against.steps) == verdict.steps:
        return ""
    steps = ", ".join(map(str, against.steps))
    left = f"; without the gradients of the batch: {', '.join(against.left_out)}" if against.left_out else ""
    return f"recorded were steps {steps} and the end of {verdict.steps}, and every loss{left}"


def _curves(verdict: Verdict) -> str:
    losses, band = verdict.curves.losses, verdict.curves.band
    if not all(losses.get(side) and band.get(side) for side in FRAMEWORKS):
        return ""
    torch, jax = (losses[side][-1] for side in FRAMEWORKS)
    apart = abs(torch - jax) / abs(torch) if torch else abs(jax)
    one, other = (_names(verdict)[side] for side in FRAMEWORKS)
    return (
        f"free-running float32, shown and not judged: last losses {one} {torch:.4g}, {other} {jax:.4g}, "
        f"{figure(apart)} apart; noise band {one} {figure(band['torch'][-1])}, {other} {figure(band['jax'][-1])}"
    )


def _loops(verdict: Verdict) -> str:
    ran = [(side, [loop for loop, why in verdict.loops.get(side, {}).items() if not why]) for side in FRAMEWORKS]
    left = [(side, loop, why) for side in FRAMEWORKS for loop, why in verdict.loops.get(side, {}).items() if why]
    names = _names(verdict)
    parts = [f"{names[side]} {', '.join(loops)}" for side, loops in ran if loops]
    parts += [f"not {names[side]} {loop} ({why})" for side, loop, why in left]
    return f"loops: {'; '.join(parts)}" if parts else ""


def closing_line(verdicts: Sequence[Verdict], seconds: float) -> Text:
    """One line on all pairs that were checked: what holds, or which do not."""
    outcome = worst(verdict.outcome for verdict in verdicts)
    found = [verdict for verdict in verdicts if verdict.outcome == outcome]
    names = [f"{verdict.pair} as far as asked" if verdict.not_asked else verdict.pair for verdict in found]
    listed = names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
    some = f"{listed} ({len(names)} of {len(verdicts)} {'pair' if len(verdicts) == 1 else 'pairs'}, {seconds:.0f} s)"
    where = "as recorded" if any(v.against for v in found) else "in PyTorch and in JAX"
    text = {
        "agree": f"AGREE: the same {where}: {some}",
        "differ": f"DIFFER: not the same {where}: {some}",
        "inconclusive": f"INCONCLUSIVE: {some}: neither agreement nor difference is proven, for the reasons above",
    }
    return Text(text[outcome], style=STYLES[outcome])
