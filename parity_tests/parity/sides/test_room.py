"""A training that the memory cannot hold is refused after its first step, in words."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from parity.errors import NotCheckable
from parity.judging.distance.drift import Drift
from parity.sides import room
from parity.sides.room import GIB, free_bytes, require_room
from parity.sides.runs import free_run
from parity_tests.parity.made_recordings import recording
from parity_tests.parity.tiny import live

MEMORY = "MemTotal: 9 kB\nMemAvailable:    3072 kB\nSwapFree:    1024 kB\n"


def machine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, memory: str = MEMORY, limit: str = "max", used: int = 0
) -> float:
    (tmp_path / "meminfo").write_text(memory)
    for name, text in (("max", limit), ("current", str(used)), ("stat", "anon 7\ninactive_file 512")):
        (tmp_path / f"memory.{name}").write_text(f"{text}\n")
    monkeypatch.setattr(room, "MEMORY", tmp_path / "meminfo")
    monkeypatch.setattr(room, "CONTAINER", tmp_path)
    return free_bytes()


def test_what_is_free_is_what_the_machine_can_give_and_its_swap(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert machine(tmp_path, monkeypatch) == 4096 * 1024


def test_a_container_has_what_its_limit_leaves_beside_files_that_can_go(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert machine(tmp_path, monkeypatch, limit="1048576", used=1000000) == 1048576 - 1000000 + 512
    assert machine(tmp_path, monkeypatch, limit="99999999", used=5) == 4096 * 1024


@pytest.mark.parametrize("memory", ["", "MemAvailable: 1 kB", "MemAvailable: ?\nSwapFree: 1 kB", "nothing"])
def test_where_it_is_not_told_all_is_free(memory: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert machine(tmp_path, monkeypatch, memory) == float("inf")
    monkeypatch.setattr(room, "MEMORY", tmp_path / "missing")
    monkeypatch.setattr(room, "CONTAINER", tmp_path / "missing")
    assert free_bytes() == float("inf")


def test_on_this_machine_it_is_told() -> None:
    assert Path("/proc/meminfo").exists() == (free_bytes() < float("inf"))


STEP = recording(("trajectory", 0, {"w": np.zeros(1000), "gradient.w": np.zeros(1000)}))


def test_a_training_that_fits_is_let_through(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room, "free_bytes", lambda: 4 * 16000)
    require_room(STEP, 4)


def test_one_that_does_not_is_refused_with_how_many_steps_would(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room, "free_bytes", lambda: 4 * 16000)
    with pytest.raises(NotCheckable, match=r"^the torch side's 5 steps take .* ask for fewer \(--steps 4\), leave the"):
        require_room(STEP, 5)
    monkeypatch.setattr(room, "free_bytes", lambda: 15999)
    with pytest.raises(NotCheckable, match=r"free: leave the training out .* smaller model"):
        require_room(STEP, 5)


def test_it_is_asked_after_the_first_step_of_a_training(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room, "free_bytes", lambda: 0.0)
    with pytest.raises(NotCheckable, match=r"the torch side's 2 steps take .* GiB of memory"):
        free_run(live("torch"), 0, 2)
    free_run(live("torch"), 0, 2, stages=("data", "init", "forward", "loss", "backward"))


def test_a_run_that_is_measured_and_not_held_needs_no_room(monkeypatch: pytest.MonkeyPatch) -> None:
    side = live("torch")
    base = free_run(side, 0, 2)
    monkeypatch.setattr(room, "free_bytes", lambda: 0.0)
    drift = Drift(base)
    free_run(side, 0, 2, into=drift)
    assert drift.apart


def test_gibibytes_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room, "free_bytes", lambda: 3.0 * GIB)
    array = np.broadcast_to(np.zeros(1), (GIB // 8,))
    with pytest.raises(NotCheckable, match="5 steps take 5 GiB of memory, and 3 GiB are free"):
        require_room(recording(("trajectory", 0, {"w": array})), 5)
