"""One call of the command: pairs checked one after the other, printed as they come, and the exit status at the end."""

from __future__ import annotations

import os
import sys
import time
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from parity.command.document import destination, document
from parity.command.jobs import Job, checking, checking_against, comparing_seeds
from parity.command.pairs import Chosen, chosen_pairs, importable
from parity.command.report import NARROW
from parity.command.settings import Settings, settings
from parity.errors import MissingFramework, NotCheckable
from parity.pair.pair import Pair
from parity.recording import Device, Framework

AGREES, RED, CANNOT = 0, 1, 2
"""Exit status: all pairs agree; one differs or is inconclusive; one could not be checked and none of the others is red.
"""
PLAIN_WIDTH = 100
"""Columns where the output is no terminal."""


@dataclass(frozen=True)
class Request:
    """What a command line asks for; the fields are its options, None where `[tool.parity]` decides.

    `arguments` is the line itself, for the document.
    """

    pairs: Sequence[str] = ()
    json: Path | None = None
    device: Device | None = None
    seed: int | None = None
    loops: str | None = None
    seeds: int | None = None
    traceback: bool = False
    against: Path | None = None
    side: Framework | None = None
    steps: int | None = None
    arguments: Sequence[str] = ()


@dataclass
class Session:
    """A call of the command under way."""

    request: Request
    out: Console
    err: Console
    started: float = field(default_factory=time.monotonic)
    begun_at: datetime = field(default_factory=lambda: datetime.now(UTC))
    found: list[tuple[Any, dict[str, Any]]] = field(default_factory=list)
    """The verdict on each pair that was checked, and what the document says of it."""
    not_checked: list[dict[str, str]] = field(default_factory=list)

    def run(self) -> int:
        """Check all pairs and return the exit status.

        Raises:
            NotCheckable: bad usage, told before any work.
        """
        chosen, job = self._plan()
        with destination(self.request.json) if self.request.json else nullcontext(_nowhere) as write:
            for one in chosen:
                if not self._one(one, chosen, job):
                    break
            if self.found:
                self._close(job)
            write(self._document(job))
        return self._status()

    @cached_property
    def configured(self) -> Settings:
        """`[tool.parity]`, as it holds in the current folder."""
        return settings(Path.cwd())

    @property
    def seed(self) -> int:
        """What the pairs are drawn from."""
        return self.configured.seed if self.request.seed is None else self.request.seed

    @property
    def device(self) -> Device:
        """Where the sides run."""
        return self.request.device or self.configured.device

    def _plan(self) -> tuple[list[Chosen], Job]:
        request = self.request
        chosen = chosen_of(request)
        if request.side and request.against is None:
            raise NotCheckable("--side says which side runs beside a recording: give --against FILE as well")
        if request.seeds is None:
            loops = self.configured.loops if request.loops is None else loop_names(request.loops, chosen)
            if request.against is None:
                return chosen, checking(self.seed, self.device, loops)
            return chosen, checking_against(request.against, request.side, self.seed, self.device, loops)
        for option in ("loops", "steps", "against"):
            if getattr(request, option) is not None:
                raise NotCheckable(f"--{option} says nothing to --seeds: the runs are driven by the pair's own scores")
        offering = [one for one in chosen if one.pair.torch.scores and one.pair.jax.scores]
        if (request.pairs and len(offering) < len(chosen)) or not offering:
            lacking = next(one.pair.name for one in chosen if one not in offering)
            raise NotCheckable(f"pair {lacking} names no scores on both sides, and --seeds compares scores")
        return offering, comparing_seeds(request.seeds, self.seed, self.device)

    def _one(self, one: Chosen, chosen: Sequence[Chosen], job: Job) -> bool:
        """Check one pair; whether to go on with the next."""
        files = [other.pair_file for other in chosen if other.pair_file]
        try:
            with _own_faults():
                with importable(one.pair_file, one.base, files), self.progress(one) as tell:
                    verdict = job.check(one.pair, tell)
                entry = job.entry(one, verdict)
                job.show(self.out, one.pair, verdict)
        except NotCheckable as error:
            self.tell_why_not(error, one.pair.name)
            self.not_checked.append({"pair": one.pair.name, "file": str(one.file), "reason": str(error)})
            return not isinstance(error, MissingFramework)
        self.found.append((verdict, entry))
        return True

    def tell_why_not(self, error: NotCheckable, pair: str | None = None) -> None:
        """One line on stderr, and where asked for also where it happened."""
        tell(self.err, f"{pair}: {error}" if pair else str(error))
        if self.request.traceback and error.__cause__ is not None:
            traceback.print_exception(error.__cause__, file=sys.stderr)

    def _close(self, job: Job) -> None:
        line = job.closing([verdict for verdict, _ in self.found], time.monotonic() - self.started)
        if self.not_checked:
            line.append(f"; not checked: {', '.join(entry['pair'] for entry in self.not_checked)}", style="bold red")
        self.out.print(line, soft_wrap=not self.out.is_terminal)

    @contextmanager
    def progress(self, one: Chosen) -> Iterator[Callable[[str], None]]:
        """On a terminal what is going on, gone when it is over; elsewhere nothing, so that stderr holds faults only."""
        if not self.err.is_terminal:
            yield lambda _: None
            return
        columns = SpinnerColumn(), TextColumn("{task.description}", markup=False), TimeElapsedColumn()
        with Progress(*columns, console=self.err, transient=True) as progress:
            task = progress.add_task(f"{one.pair.name}: loading the frameworks")
            yield lambda phrase: progress.update(task, description=f"{one.pair.name}: {phrase}")

    def _status(self) -> int:
        if any(verdict.outcome != "agree" for verdict, _ in self.found):
            return RED
        return CANNOT if self.not_checked or not self.found else AGREES

    def _document(self, job: Job) -> dict[str, Any]:
        return document(
            job.section, [entry for _, entry in self.found],
            command=["parity", *self.request.arguments], begun_at=self.begun_at,
            seconds=time.monotonic() - self.started, exit_status=self._status(),
            not_checked=self.not_checked,
        )  # fmt: skip


def chosen_of(request: Request) -> list[Chosen]:
    """The pairs that a request names, each with no more steps than it asks for.

    Raises:
        NotCheckable: as `chosen_pairs` does, or there are fewer steps, or more pairs than can be of one recording.
    """
    chosen = chosen_pairs(request.pairs, Path.cwd())
    if request.against is not None and len(chosen) > 1:
        named = ", ".join(one.pair.name for one in chosen)
        raise NotCheckable(
            f"--against {request.against}: a recording is of one pair, and not of {named}: name one pair"
        )
    if request.steps is None:
        return chosen
    for one in chosen:
        if request.steps > one.pair.steps:
            raise NotCheckable(f"--steps {request.steps}: pair {one.pair.name} has {one.pair.steps} steps, and no more")
    return [one._replace(pair=replace(one.pair, steps=request.steps)) for one in chosen]


@contextmanager
def _own_faults() -> Iterator[None]:
    """A fault of `parity` itself is why one pair cannot be checked: what was found of the others is not lost by it."""
    try:
        yield
    except (NotCheckable, BrokenPipeError):
        raise
    except Exception as error:
        raise NotCheckable(own_fault(error)) from error


def own_fault(error: Exception) -> str:
    """What is said of an error that nobody has foreseen."""
    said = " ".join(str(error).split())
    return f"this is a fault of parity itself: {type(error).__name__}: {said} (--traceback shows where)"


def _nowhere(document: Mapping[str, Any]) -> None:
    """Without --json nothing is written."""


def loop_names(given: str, chosen: Sequence[Chosen]) -> list[str] | None:
    """The loops that `--loops` names; None for all.

    Raises:
        NotCheckable: no side of the chosen pairs knows a loop of that name.
    """
    if given == "all":
        return None
    names = [name.strip() for name in given.split(",")]
    hold_loops(names, [one.pair for one in chosen], "--loops")
    return names


def hold_loops(names: Sequence[str], pairs: Sequence[Pair], where: str) -> None:
    """Refuse loops that nobody knows; `where` they were asked for stands at the beginning of the error.

    Raises:
        NotCheckable: no side of the pairs knows a loop of that name.
    """
    known = dict.fromkeys(loop for pair in pairs for side in (pair.torch, pair.jax) for loop in side.loops)
    if unknown := [name for name in names if name not in known]:
        there_are = f"known are {', '.join(known)}, or all" if known else "the pairs name no loops"
        raise NotCheckable(f"{where}: no side has a loop called {unknown[0]!r}: {there_are}")


def tell(err: Console, line: str) -> None:
    """One line on stderr, however long, and nothing in it taken for markup."""
    err.print(f"parity: {line}", soft_wrap=True, markup=False, highlight=False)


class _Out(Console):
    """Stdout, whose reader may leave: Rich would end the process with 1, which says that a pair differs."""

    def on_broken_pipe(self) -> None:
        raise BrokenPipeError


def consoles() -> tuple[Console, Console]:
    """Stdout and stderr. Where stdout is no terminal and COLUMNS does not say, it is `PLAIN_WIDTH` wide.

    A terminal narrower than the tables need breaks their lines itself.
    """
    out = _Out(highlight=False)
    if not out.is_terminal and "COLUMNS" not in os.environ:
        out.width = PLAIN_WIDTH
    elif out.width < NARROW:
        out.width = NARROW
    return out, Console(stderr=True, highlight=False)
