"""What is told of the machine, with a GPU and without one."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator  # type: ignore[import-untyped]

from benchmarks.document import SCHEMA
from benchmarks.machine import best_device, condition, driver_bytes, drivers, machine, other_machine

TOLD = {
    "--query-gpu=name,driver_version,memory.total": "NVIDIA H100, 580.1, 81559 MiB\n",
    "--query-gpu=clocks.sm,clocks.mem,power.draw,power.limit,temperature.gpu,utilization.gpu": (
        "1980 MHz, 2619 MHz, 120.00 W, 700.00 W, 35, 0 %\n"
    ),
    "--query-compute-apps=pid,used_memory": "12, 500 MiB\n34, 7 MiB\n12, 24 MiB\n56, [N/A]\n",
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
    assert found.keys() >= {"processor", "system", "python"}
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


@pytest.mark.usefixtures("with_gpu")
def test_another_driver_makes_no_other_machine_and_another_gpu_does() -> None:
    this = machine()
    updated = this | {"gpus": [this["gpus"][0] | {"driver_version": "590.1"}]}
    assert other_machine(this, updated) == ""
    assert (drivers(this), drivers(updated)) == ("580.1", "590.1")
    smaller = this | {"gpus": [this["gpus"][0] | {"memory.total": "40960 MiB"}]}
    assert other_machine(this, smaller) == "gpus ['NVIDIA H100, 81559 MiB'] and ['NVIDIA H100, 40960 MiB']"
    assert other_machine(this, this | {"cores": 1000}) == f"cores {this['cores']} and 1000"


@pytest.mark.usefixtures("with_gpu")
def test_warnings_among_what_nvidia_smi_tells_and_its_status_hide_no_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    quiet = machine()["gpus"]

    def run(command: list[str], **_: Any) -> Any:
        told = f"WARNING: infoROM is corrupted at gpu 0000:65:00.0\n\n{TOLD[command[1]]}"
        return subprocess.CompletedProcess(command, 14, told, "")

    monkeypatch.setattr(subprocess, "run", run)
    assert machine()["gpus"] == quiet
    assert driver_bytes(12) == 524 * 2**20
    assert best_device() == "gpu"


@pytest.mark.usefixtures("without_gpu")
@pytest.mark.parametrize(("files", "device"), [([], "cpu"), (["nvidiactl"], "cpu"), (["nvidiactl", "nvidia0"], "gpu")])
def test_a_gpu_without_nvidia_smi_is_one(files: list[str], device: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def glob(_: Path, pattern: str) -> list[Path]:
        return [Path(name) for name in files if Path(name).match(pattern)]

    monkeypatch.setattr(Path, "glob", glob)
    assert best_device() == device
