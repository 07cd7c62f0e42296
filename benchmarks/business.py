"""How busy a machine's cores are with what is not the benchmark's own: measured on Linux, unknown elsewhere."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

PROC = Path("/proc")
IDLE_TIMES = (3, 4)
"""Of a core's times in /proc/stat, those in which it waited for something to do. Source: proc_stat(5)."""
GUESTS = 8
"""Behind so many come the times of guests, which are counted among the others already."""
LEAST_S = 1.0
"""Seconds that a measurement has to last: the system counts in hundredths; and rounds that were there take no time."""


class Business:
    """What `beside` found: the share of the cores' time that other work took; None where that is not known."""

    others: float | None = None


@contextmanager
def beside(proc: Path = PROC) -> Iterator[Business]:
    """Inside, all that runs on the cores of this process is counted, and what it and its descendants do taken off."""
    found, begun = Business(), time.monotonic()
    busy, own = busy_s(proc), own_s(proc, os.getpid())
    yield found
    seconds, now, mine = time.monotonic() - begun, busy_s(proc), own_s(proc, os.getpid())
    if busy is None or own is None or now is None or mine is None or seconds < LEAST_S:
        return
    others = (now - busy - (mine - own)) / (seconds * len(_cores()))
    found.others = min(max(others, 0.0), 1.0)


def busy_s(proc: Path) -> float | None:
    """Seconds for which the cores of this process have worked for anybody, other machines on the same ones included."""
    try:
        lines = [line.split() for line in (proc / "stat").read_text().splitlines()]
    except OSError:
        return None
    cores = {f"cpu{number}" for number in _cores()}
    times = [map(int, line[1 : 1 + GUESTS]) for line in lines if line and line[0] in cores]
    ticks = [tick for core in times for place, tick in enumerate(core) if place not in IDLE_TIMES]
    return sum(ticks) / os.sysconf("SC_CLK_TCK") if ticks else None


def own_s(proc: Path, process: int) -> float | None:
    """Seconds for which a process and its descendants have worked, those included that have ended."""
    parents: dict[int, int] = {}
    ticks: dict[int, int] = {}
    for file in proc.glob("[0-9]*/stat"):
        try:
            # The name of a program, in brackets, may hold anything.
            fields = file.read_text().rpartition(")")[2].split()
        except OSError:
            # It has ended since.
            continue
        number = int(file.parent.name)
        parents[number], ticks[number] = int(fields[1]), sum(map(int, fields[11:15]))
    family = {process}
    while more := {number for number, parent in parents.items() if parent in family} - family:
        family |= more
    known = [ticks[number] for number in family if number in ticks]
    return sum(known) / os.sysconf("SC_CLK_TCK") if known else None


def _cores() -> set[int]:
    return os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else set(range(os.cpu_count() or 1))
