"""What is told of the machine, with a GPU and without one."""

from __future__ import annotations

import json
import subprocess
from typing import Any

import pytest
from jsonschema import Draft202012Validator  # type: ignore[import-untyped]

from benchmarks.document import SCHEMA
from benchmarks.machine import IDENTITY, condition, driver_bytes, machine

TOLD = {
    "--query-gpu=name,driver_version,memory.total": "NVIDIA H100, 580.1, 81559 MiB\n",
    "--query-gpu=clocks.sm,clocks.mem,power.draw,power.limit,temperature.gpu,utilization.gpu": (
        "1980 MHz, 2619 MHz, 120.00 W, 700.00 W, 35, 0 %\n"
    ),
    "--query-compute-apps=pid,used_memory": "12, 500\n34, 7\n12, 24\n56, [N/A]\n",
}


@pytest.fixture
def with_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    def run(command: list[str], **_: Any) -> Any:
        return subprocess.CompletedProcess(command, 0, TOLD[command[1]], "")

    monkeypatch.setattr(subprocess, "run", run)


@pytest.fixture
def without_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    def run(command: list[str], **_: Any) -> Any:
        raise FileNotFoundError(command[0])

    monkeypatch.setattr(subprocess, "run", run)


def valid(found: dict[str, Any], part: str) -> bool:
    schema = json.loads(SCHEMA.read_text())
    where = schema["properties"]["machine"] if part == "machine" else schema["$defs"][part]
    return bool(Draft202012Validator(where | {"$defs": schema["$defs"]}).is_valid(found))


@pytest.mark.usefixtures("without_gpu")
def test_a_machine_without_a_gpu() -> None:
    found = machine()
    assert found["gpus"] == []
    assert found["cores"] >= 1
    assert found["memory_bytes"] > 2**28
    assert found["versions"].keys() >= {"torch", "jax", "numpy"}
    assert found.keys() >= set(IDENTITY)
    assert valid(found, "machine")
    assert valid(condition(), "condition")
    assert driver_bytes(12) is None


@pytest.mark.usefixtures("with_gpu")
def test_a_machine_with_one() -> None:
    assert machine()["gpus"] == [{"name": "NVIDIA H100", "driver_version": "580.1", "memory.total": "81559 MiB"}]
    assert condition()["gpus"][0]["power.draw"] == "120.00 W"
    assert valid(condition(), "condition")
    assert driver_bytes(12) == 524 * 2**20
    assert driver_bytes(56) is None
