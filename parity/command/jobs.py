"""The two things that the command does with a pair: check it, and compare its scores over seeds."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.text import Text

from parity.command.document import pair_entry, seeds_entry
from parity.command.pairs import Chosen
from parity.command.report import closing_line, print_verdict
from parity.command.seeds_report import print_seeds, seeds_closing_line
from parity.pair.pair import Pair
from parity.recording import Device, Framework


@dataclass(frozen=True)
class Job:
    """What to do with each pair.

    Attributes:
        section: the entry of the document that holds what was found.
        check: from a pair and a listener for progress to a verdict, which has an `outcome`.
        show: prints a verdict.
        entry: a verdict as it stands in the document.
        closing: the last line, from all verdicts and the seconds that they took.
    """

    section: str
    check: Callable[[Pair, Callable[[str], None]], Any]
    show: Callable[[Console, Pair, Any], None]
    entry: Callable[[Chosen, Any], dict[str, Any]]
    closing: Callable[[Sequence[Any], float], Text]


def checking(seed: int, device: Device, loops: Sequence[str] | None) -> Job:
    """Check a pair, stage by stage."""

    def check_pair(pair: Pair, progress: Callable[[str], None]) -> Any:
        # Here and not above: what `parity --help` does not need is not loaded.
        from parity.judging.check import check

        return check(pair, seed=seed, device=device, loops=loops, progress=progress)

    def entry(chosen: Chosen, verdict: Any) -> dict[str, Any]:
        return pair_entry(chosen.pair, chosen.file, verdict)

    return Job("pairs", check_pair, print_verdict, entry, closing_line)


def checking_against(
    file: Path, side: Framework | None, seed: int, device: Device, loops: Sequence[str] | None
) -> Job:  # fmt: skip
    """Check a pair of which one side was recorded."""

    def check_pair(pair: Pair, progress: Callable[[str], None]) -> Any:
        from parity.golden.check import check_against

        return check_against(pair, file, side=side, seed=seed, device=device, loops=loops, progress=progress)

    return replace(checking(seed, device, loops), check=check_pair)


def comparing_seeds(count: int, seed: int, device: Device) -> Job:
    """Compare a pair's scores over many runs."""

    def check_pair(pair: Pair, progress: Callable[[str], None]) -> Any:
        from parity.judging.seeds import check_seeds

        return check_seeds(pair, count, seed=seed, device=device, progress=progress)

    def show(console: Console, pair: Pair, verdict: Any) -> None:
        print_seeds(console, verdict)

    def entry(chosen: Chosen, verdict: Any) -> dict[str, Any]:
        return seeds_entry(chosen.file, verdict)

    return Job("seeds", check_pair, show, entry, seeds_closing_line)
