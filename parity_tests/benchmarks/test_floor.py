"""The least that a step has to do, and the least time that it takes."""

from __future__ import annotations

import pytest

from benchmarks.case import Case
from benchmarks.floor import Ceilings, Work, floor_us, work_of


def test_the_work_of_a_step_is_counted_from_its_layers() -> None:
    # Forward 2 * 1000 * (784*100 + 100*100 + 100*10); backward twice that, less the gradient of the images.
    assert work_of(Case()).flop == 379_600_000
    parameters = 785 * 100 + 101 * 100 + 101 * 10
    assert work_of(Case()).bytes == 4 * (1000 * 786 + 6 * parameters)
    assert work_of(Case("mlp")) == Work(3 * 2 * (2 * 100 * 25) - 2 * 100 * 25, 4 * (1000 + 6 * 60))
    assert work_of(Case("line_fit")).flop == 0


def test_more_width_and_more_images_are_more_work() -> None:
    assert work_of(Case(batch_size=2000)).flop == 2 * work_of(Case()).flop
    assert work_of(Case(width=200)).flop > 2 * work_of(Case()).flop


def test_the_floor_is_told_by_reason_and_launches_where_they_were_counted() -> None:
    ceilings = Ceilings(flop_s=50e12, bytes_s=2e12, launch_s=1e-6, call_s={"torch": 1e-6}, graph_s=5e-6)
    work = Work(flop=379_600_000, bytes=5_000_000)
    assert floor_us(work, ceilings, 34) == pytest.approx({"arithmetic": 7.592, "memory": 2.5, "launches": 34.0})
    assert floor_us(work, ceilings, None).keys() == {"arithmetic", "memory"}
