"""What a failed check says: where the two sides part and what that looks like, then the table of the command."""

from __future__ import annotations

from io import StringIO

from rich.console import Console

from parity.command.report import print_verdict
from parity.command.session import PLAIN_WIDTH
from parity.pair.pair import Pair
from parity.verdict import Verdict


def headline(verdict: Verdict) -> str:
    """The first line, which pytest repeats in its summary: the first difference, or why nothing is proven."""
    if verdict.outcome == "differ" and verdict.first_difference:
        return str(verdict.first_difference)
    stage = next(stage for stage in verdict.stages if stage.outcome == "inconclusive")
    return f"inconclusive: {stage.stage}: {stage.reason}"


def table(pair: Pair, verdict: Verdict) -> str:
    """What the command prints of a verdict, as plain text."""
    said = StringIO()
    console = Console(file=said, width=PLAIN_WIDTH, color_system=None, force_terminal=False, highlight=False)
    print_verdict(console, pair, verdict)
    return "\n".join(line.rstrip() for line in said.getvalue().splitlines())
