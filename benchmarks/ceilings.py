"""What the machine was measured to do at its best, as the store has it, and the least time that a run takes by that."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from benchmarks.case import Case
from benchmarks.floor import Ceilings, floor_us, work_of
from benchmarks.store import Store
from parity.recording import FRAMEWORKS, Framework

PRODUCT = {"cpu": 2048, "gpu": 8192}
"""Rows and columns of the product that either framework is measured by."""
COPIED = {"cpu": 2**26, "gpu": 2**30}
"""Bytes copied, more than a cache holds."""
REPEATS = 7
"""Of each measurement, of which the best counts."""
CALLS = 1000
"""In one measurement of an empty call."""

Measured = Mapping[str, Any]
"""What a framework measured: operations and bytes a second, and seconds of calls and launches."""


def place(case: Case, framework: Framework) -> tuple[str, str, str]:
    """Where the store has what a framework measured. It is the same for all cases of a precision and a device."""
    return "ceilings", f"{case.precision}-{case.device}", framework


def best(found: Measured, before: Measured | None) -> dict[str, Any]:
    """The best of two measurements: other work makes a machine look slower than it is, and nothing makes it faster."""
    kept = dict(found)
    for name, value in (before or {}).items():
        if kept[name] is None or value is None:
            kept[name] = value if kept[name] is None else kept[name]
        else:
            # Operations and bytes are a second's; all else is seconds.
            kept[name] = (max if name in ("flop_s", "bytes_s") else min)(kept[name], value)
    return kept


def ceilings_of(case: Case, store: Store) -> Ceilings | None:
    """What either framework was measured to do; None where the run did not come to that."""
    measured = {
        framework: found for framework in FRAMEWORKS if (found := store.get(*place(case, framework))) is not None
    }
    if not measured:
        return None

    def known(name: str) -> list[float]:
        return [found[name] for found in measured.values() if found[name] is not None]

    return Ceilings(
        flop_s=max(known("flop_s")),
        bytes_s=max(known("bytes_s")),
        launch_s=min(known("launch_s"), default=None),
        call_s={framework: found["call_s"] for framework, found in measured.items()},
        graph_s=min(known("graph_s"), default=None),
    )


def least_s(case: Case, store: Store) -> float:
    """Seconds that the arithmetic or the memory traffic of a run takes; 0 where that is not known of both frameworks.

    One framework alone may not know the fastest product of the machine, or may be known to be slow at all.
    """
    ceilings = ceilings_of(case, store)
    if ceilings is None or len(ceilings.call_s) < len(FRAMEWORKS):
        return 0.0
    return 1e-6 * max(floor_us(work_of(case), ceilings, None).values()) * case.steps * case.seeds
