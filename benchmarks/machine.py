"""The machine: what it is, and how busy and fast it was before and after. Without a framework."""

from __future__ import annotations

import os
import platform
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

PACKAGES = ("torch", "torchvision", "jax", "jaxlib", "flax", "optax", "numpy", "scipy")
IDENTITY = ("processor", "cores", "gpus")
"""What has to be the same for two results to be of one machine."""
_FIXED = ("name", "driver_version", "memory.total")
_CHANGING = ("clocks.sm", "clocks.mem", "power.draw", "power.limit", "temperature.gpu", "utilization.gpu")


def machine() -> dict[str, Any]:
    """What the machine is: processor, cores that this process may use, memory, GPUs with their driver, versions."""
    return {
        "processor": _processor(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "memory_bytes": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        "gpus": _nvidia_smi(_FIXED),
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "python": platform.python_version(),
        "versions": {name: found for name in PACKAGES if (found := _version(name))},
    }


def condition() -> dict[str, Any]:
    """How it is doing: processes that want a core, the processor's clock, the GPUs' clocks, power and temperature."""
    return {"load": os.getloadavg()[0], "processor_mhz": _processor_mhz(), "gpus": _nvidia_smi(_CHANGING)}


def driver_bytes(process: int) -> int | None:
    """The GPU memory that the driver sees a process hold; None where there is no GPU, or it does not tell."""
    found = _table(["--query-compute-apps=pid,used_memory", "--format=csv,noheader,nounits"])
    held = [int(used) * 2**20 for pid, used in found if pid == str(process) and used.isdigit()]
    return sum(held) if held else None


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return ""


def _cpuinfo(entry: str) -> list[str]:
    file = Path("/proc/cpuinfo")
    lines = file.read_text().splitlines() if file.exists() else []
    return [line.partition(":")[2].strip() for line in lines if line.startswith(entry)]


def _processor() -> str:
    names = _cpuinfo("model name")
    return names[0] if names else platform.processor() or platform.machine()


def _processor_mhz() -> float | None:
    found = [float(entry) for entry in _cpuinfo("cpu MHz")]
    return max(found, default=None)


def _nvidia_smi(fields: tuple[str, ...]) -> list[dict[str, str]]:
    """One entry a GPU; none where there is no driver."""
    rows = _table([f"--query-gpu={','.join(fields)}", "--format=csv,noheader"])
    return [dict(zip(fields, row, strict=True)) for row in rows]


def _table(options: list[str]) -> list[list[str]]:
    try:
        told = subprocess.run(["nvidia-smi", *options], capture_output=True, text=True, check=True, timeout=30).stdout
    except (OSError, subprocess.SubprocessError):
        return []
    return [[entry.strip() for entry in line.split(",")] for line in told.splitlines()]
