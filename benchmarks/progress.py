"""What is going on, and how long it will still take."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TaskProgressColumn, TextColumn, TimeElapsedColumn
from rich.table import Column

QUIET_S = 10
"""Where stderr is no terminal, a line is printed no more often than this."""
WIDE = 120
"""Columns of a terminal that has room for a bar beside what is told."""
TRUSTED_S = 20
"""Weights are about seconds: they count as much as so many seconds that were measured. The first parts to be over are
short, or stand side by side with others, or were there already, and alone would tell too much or nothing."""


class Teller:
    """Tells of the parts of a benchmark as they are done. A part weighs about the seconds that it takes."""

    def __init__(self, console: Console, total: float) -> None:
        self._console, self._total, self._done = console, total, 0.0
        self._begun, self._told = time.monotonic(), float("-inf")
        self._bar: Progress | None = None

    @contextmanager
    def showing(self) -> Iterator[None]:
        """Inside, a terminal has a bar, and anything else a line now and then."""
        if not self._console.is_terminal:
            yield
            return
        # In a narrow terminal there is no bar, and what is going on is cut off before the time left is.
        doing = TextColumn("{task.description}", markup=False, table_column=Column(ratio=1, no_wrap=True))
        left = TextColumn("{task.fields[left]}", markup=False)
        bar = (BarColumn(),) if self._console.width >= WIDE else ()
        columns = SpinnerColumn(), doing, *bar, TaskProgressColumn(), TimeElapsedColumn(), left
        with Progress(*columns, console=self._console, transient=True, expand=True) as self._bar:
            self._task = self._bar.add_task("", total=self._total, left="")
            yield
        self._bar = None

    def tell(self, phrase: str) -> None:
        """What is going on now."""
        if self._bar is not None:
            self._bar.update(self._task, description=phrase, completed=self._done, left=self.left())
        elif time.monotonic() - self._told >= QUIET_S:
            self._told = time.monotonic()
            self._console.print(f"{phrase}; {self.left()}", markup=False, highlight=False, soft_wrap=True)

    def warn(self, line: str) -> None:
        """What is not to be overlooked."""
        self._console.print(f"benchmarks: {line}", markup=False, highlight=False, soft_wrap=True)

    def done(self, weight: float) -> None:
        """A part is over."""
        self._done += weight

    def skip(self, weight: float) -> None:
        """A part need not be done."""
        self._total -= weight

    def left(self) -> str:
        """An estimate of the time left, from what the parts weigh and what those so far took."""
        elapsed = time.monotonic() - self._begun
        if self._done <= 0:
            return "time left not known yet"
        pace = (TRUSTED_S + elapsed) / (TRUSTED_S + self._done)
        seconds = pace * max(self._total - self._done, 0)
        return f"about {seconds:.0f} s left" if seconds < 100 else f"about {seconds / 60:.0f} min left"
