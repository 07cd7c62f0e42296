"""What is told while it lasts."""

from __future__ import annotations

from io import StringIO

import pytest
from rich.console import Console

import benchmarks.progress
from benchmarks.progress import QUIET_S, WIDE, Teller


class Clock:
    """A clock that stands until it is moved."""

    now = 0.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(benchmarks.progress, "time", made)
    return made


def test_the_time_left_is_what_the_parts_so_far_took(clock: Clock) -> None:
    teller = Teller(Console(quiet=True), 100.0)
    assert teller.left() == "time left not known yet"
    teller.done(20.0)
    clock.now = 10.0
    assert teller.left() == "about 60 s left"
    teller.skip(40.0)
    assert teller.left() == "about 30 s left"
    clock.now = 1000.0
    assert teller.left() == "about 17 min left"


def test_parts_that_were_there_already_do_not_leave_no_time(clock: Clock) -> None:
    teller = Teller(Console(quiet=True), 100.0)
    teller.done(60.0)
    assert teller.left() == "about 10 s left"
    # And the first of many that stand side by side does not leave an hour.
    slow = Teller(Console(quiet=True), 60.0)
    clock.now = 6.0
    slow.done(2.0)
    assert slow.left() == "about 69 s left"


def test_where_there_is_no_terminal_lines_come_now_and_then(clock: Clock) -> None:
    out = StringIO()
    teller = Teller(Console(file=out), 100.0)
    with teller.showing():
        for second in range(3 * QUIET_S):
            clock.now = float(second)
            teller.tell(f"second {second}")
    assert [line.partition(";")[0] for line in out.getvalue().splitlines()] == ["second 0", "second 10", "second 20"]


def test_a_terminal_has_a_bar_that_goes_away() -> None:
    out = StringIO()
    teller = Teller(Console(file=out, force_terminal=True, width=WIDE), 10.0)
    with teller.showing():
        teller.done(5.0)
        teller.tell("half of it")
    assert "half of it" in out.getvalue()
    assert "\N{BOX DRAWINGS HEAVY HORIZONTAL}" in out.getvalue()


def test_a_narrow_terminal_shows_the_time_left(clock: Clock) -> None:
    out = StringIO()
    teller = Teller(Console(file=out, force_terminal=True, width=80), 100.0)
    with teller.showing():
        teller.done(20.0)
        clock.now = 10.0
        teller.tell("mnist-float32-cpu: torch-stepped-twin: starting")
        assert teller._bar is not None
        teller._bar.refresh()
        teller.tell("mnist-float32-gpu-s1024: torch-many_seeds_padded: right or not counted")
    told = out.getvalue()
    assert "mnist-float32-cpu: torch-stepped-twin: starting" in told
    assert "mnist-float32-gpu-s1024: torch-many_seeds_pad" in told
    assert told.count("about 60 s left") == 2
