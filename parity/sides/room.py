"""Whether the memory of this machine holds what is still to be recorded: told, where a kill would say nothing."""

from __future__ import annotations

from pathlib import Path

from parity.errors import NotCheckable
from parity.recording import Recording

MEMORY = Path("/proc/meminfo")
CONTAINER = Path("/sys/fs/cgroup")
"""Where Linux tells of the machine's memory and of a container's. Others tell of it elsewhere: there all is free."""
GIB = 2**30


def free_bytes() -> float:
    """What may still be taken of the memory of this machine, and of the container's limit; infinite where unknown."""
    return min(_of_machine(), _of_container())


def _of_machine() -> float:
    try:
        rows = dict(line.split(":", 1) for line in MEMORY.read_text().splitlines())
        return sum(int(rows[name].split()[0]) * 1024 for name in ("MemAvailable", "SwapFree"))
    except (OSError, KeyError, ValueError):
        return float("inf")


def _of_container() -> float:
    try:
        limit, used = (int((CONTAINER / f"memory.{name}").read_text()) for name in ("max", "current"))
        rows = dict(line.split() for line in (CONTAINER / "memory.stat").read_text().splitlines())
        return limit - used + int(rows["inactive_file"])
    except (OSError, KeyError, ValueError):  # No container, or one without a limit, whose `max` is no number.
        return float("inf")


def require_room(recording: Recording, steps: int) -> None:
    """Refuse a training of so many steps whose rest has no room, when its first step has been recorded.

    One step more than the rest has to fit: the model at work holds it before it is recorded.

    Raises:
        NotCheckable: it does not.
    """
    step = sum(array.nbytes for array in recording.of("trajectory", 0).values())
    free = free_bytes()
    if steps * step <= free:
        return
    fewer = f"ask for fewer (--steps {int(free / step)}), " if free >= step else ""
    raise NotCheckable(
        f"the {recording.provenance.framework} side's {steps} steps take {steps * step / GIB:.2g} GiB of memory, and "
        f'{free / GIB:.2g} GiB are free: {fewer}leave the training out (stages=("forward", "loss", "backward")), or '
        "check a smaller model made by the same code"
    )
