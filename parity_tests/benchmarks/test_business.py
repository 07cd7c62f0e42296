"""What other work takes of the cores: all that they did, less what the benchmark and its processes did."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from benchmarks import business
from benchmarks.business import beside, busy_s, own_s

TICKS = os.sysconf("SC_CLK_TCK")
SELF = os.getpid()


def told(proc: Path, busy: float, processes: dict[int, tuple[int, float, float]]) -> None:
    """A folder as /proc is: seconds that a core was busy; of processes the parent, and own and ended seconds."""
    # user nice system idle iowait irq softirq steal guest guest_nice
    ticks = f"{round(busy * TICKS) - 4} 1 0 70000 5000 1 1 1 900 900"
    (proc / "stat").write_text(f"cpu  9 9 9\ncpu0 {ticks}\ncpu7 {ticks}\nintr 5\n")
    for number, (parent, own, ended) in processes.items():
        (proc / str(number)).mkdir(exist_ok=True)
        times = f"{round(own * TICKS) - 1} 1 {round(ended * TICKS) - 1} 1"
        (proc / str(number) / "stat").write_text(f"{number} (a ) b) S {parent} 0 0 0 0 0 0 0 0 0 {times} 20 0")


@pytest.fixture(autouse=True)
def _one_core_and_no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(business, "_cores", lambda: {0})


def test_a_cores_work_is_all_but_its_waiting_and_its_guests(tmp_path: Path) -> None:
    told(tmp_path, 12.5, {})
    assert busy_s(tmp_path) == 12.5
    assert busy_s(tmp_path / "nowhere") is None


def test_a_process_answers_for_its_descendants_and_those_that_have_ended(tmp_path: Path) -> None:
    told(tmp_path, 1.0, {10: (1, 1.0, 0.5), 20: (10, 2.0, 0.25), 30: (20, 4.0, 0.25), 40: (1, 100.0, 0.25)})
    assert own_s(tmp_path, 10) == pytest.approx(8.0)
    assert own_s(tmp_path, 40) == pytest.approx(100.25)
    assert own_s(tmp_path, 50) is None


@pytest.mark.parametrize(
    ("busy", "own", "share"), [(3.0, 3.0, 0.0), (6.0, 3.0, 0.3), (3.0, 4.0, 0.0), (99.0, 1.0, 1.0)]
)
def test_the_share_of_others_is_what_is_left(
    busy: float, own: float, share: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = iter((0.0, 10.0))
    monkeypatch.setattr("benchmarks.business.time", SimpleNamespace(monotonic=lambda: next(clock)))
    told(tmp_path, 5.0, {SELF: (1, 1.0, 1.0), SELF + 1: (SELF, 1.0, 1.0)})
    with beside(tmp_path) as found:
        told(tmp_path, 5.0 + busy, {SELF: (1, 1.0, 1.0), SELF + 1: (SELF, 1.0 + own, 1.0)})
    assert found.others == pytest.approx(share)


def test_where_it_cannot_be_known_nothing_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with beside(tmp_path) as found:
        pass
    assert found.others is None
    told(tmp_path, 5.0, {SELF: (1, 1.0, 1.0)})
    with beside(tmp_path) as found:
        # Rounds that were there already.
        told(tmp_path, 6.0, {SELF: (1, 1.0, 1.0)})
    assert found.others is None


@pytest.mark.skipif(not Path("/proc/stat").exists(), reason="only Linux tells")
def test_what_a_process_of_ones_own_does_is_counted_here() -> None:
    before = own_s(business.PROC, SELF)
    subprocess.run([sys.executable, "-c", "sum(range(10**7))"], check=True)
    after = own_s(business.PROC, SELF)
    assert before is not None
    assert after is not None
    assert after > before
    with beside() as found:
        time.sleep(business.LEAST_S)
    assert found.others is None or 0 <= found.others <= 1
