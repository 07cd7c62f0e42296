"""A comparison over seeds as people read it."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from parity.command.report import STYLES
from parity.judging.seeds import PUBLISHED_FROM, Sample, SeedsScore, SeedsVerdict
from parity.verdict import worst


def print_seeds(console: Console, verdict: SeedsVerdict) -> None:
    """Print one pair's table, one row a score, and what belongs to it."""
    torch, jax = verdict.seeds["torch"], verdict.seeds["jax"]
    heading = Text(verdict.pair, style="bold")
    heading.append(f"  {len(torch)} runs a side, {verdict.device}", style="not bold")
    heading.append(f": torch seeds {torch[0]} to {torch[-1]}, JAX {jax[0]} to {jax[-1]}", style="not bold")
    console.print(heading)
    console.print(_table(verdict.scores))
    for line in _lines(verdict):
        console.print(line, soft_wrap=not console.is_terminal)
    console.print()


def _table(scores: Sequence[SeedsScore]) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0), header_style="bold")
    table.add_column("\nscore")
    for name in ("torch\nmean", "\ndeviation", "JAX\nmean", "\ndeviation", "\ndifference", "\ninterval"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("\nverdict", no_wrap=True)
    for score in scores:
        low, high = score.interval
        spreads = [f"{value:.4f}" for side in (score.torch, score.jax) for value in (side.mean, side.deviation)]
        verdict = Text(score.outcome, style=STYLES[score.outcome])
        table.add_row(score.name, *spreads, f"{score.difference:+.4f}", f"{low:+.4f} {high:+.4f}", verdict)
    return table


def _lines(verdict: SeedsVerdict) -> list[Text]:
    found = [Text(f"{s.name}: {s.reason}", style=STYLES[s.outcome]) for s in verdict.scores if s.reason]
    found += [Text(f"{score.name}: accuracy on {score.scored_on}") for score in verdict.scores]
    for score in verdict.scores:
        if score.published is not None:
            found.append(Text(f"published, {score.name} {score.published:g}: {_falls(score, score.published)}"))
    found.append(
        Text(
            f"equivalent where the interval lies within the margin, {verdict.margin} either way: two one-sided Welch "
            f"tests, error rate {verdict.error_rate} each"
        )
    )
    return found


def _falls(score: SeedsScore, published: float) -> str:
    """Where a published figure falls among the runs."""
    if score.torch.reached is None or score.jax.reached is None:
        return f"with {PUBLISHED_FROM} seeds or more it is told where it falls"
    return f"{_side('torch', score.torch, published)}; {_side('JAX', score.jax, published)}"


def _side(name: str, sample: Sample, published: float) -> str:
    deviations = (published - sample.mean) / sample.deviation if sample.deviation else float("inf")
    count = len(sample.accuracies)
    return f"{sample.reached} of {count} {name} runs reach it, {deviations:+.1f} deviations from their mean"


def seeds_closing_line(verdicts: Sequence[SeedsVerdict], seconds: float) -> Text:
    """One line on all pairs whose scores were compared."""
    outcome = worst(verdict.outcome for verdict in verdicts)
    some = f"{', '.join(verdict.pair for verdict in verdicts if verdict.outcome == outcome)} ({seconds:.0f} s)"
    text = {
        "agree": f"AGREE: equivalent scores in PyTorch and in JAX: {some}",
        "differ": f"DIFFER: other scores in PyTorch than in JAX: {some}",
        "inconclusive": f"INCONCLUSIVE: {some}: equivalence is not proven, for the reasons above",
    }
    return Text(text[outcome], style=STYLES[outcome])
