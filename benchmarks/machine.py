"""The machine: what it is, and how busy and fast it was before and after. Without a framework."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

PACKAGES = ("torch", "torchvision", "jax", "jaxlib", "flax", "optax", "numpy", "scipy")
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


def other_machine(old: Mapping[str, Any], new: Mapping[str, Any]) -> str:
    """What makes one machine another, of both; empty where they are one. Another driver makes no other GPU."""
    for entry in ("processor", "cores", "gpus"):
        was, now = (
            [f"{gpu['name']}, {gpu['memory.total']}" for gpu in one["gpus"]] if entry == "gpus" else one[entry]
            for one in (old, new)
        )
        if was != now:
            return f"{entry} {was} and {now}"
    return ""


def drivers(found: Mapping[str, Any]) -> str:
    """The versions of a machine's drivers; empty where it has no GPU."""
    return ", ".join(gpu["driver_version"] for gpu in found["gpus"])


def best_device() -> str:
    """Where to compute unless somebody says otherwise: "gpu" where there is one, whatever nvidia-smi knows of it."""
    return "gpu" if _nvidia_smi(_FIXED) or any(Path("/dev").glob("nvidia[0-9]*")) else "cpu"


def no_compiler() -> str:
    """What torch.compile lacks on this CPU; empty where it lacks nothing. The names are those that it looks for."""
    compiler = os.environ.get("CXX", "clang++" if sys.platform == "darwin" else "g++")
    return "" if shutil.which(compiler) else f"needs a C++ compiler, and {compiler} is not on the path: install one"


def driver_bytes(process: int) -> int | None:
    """The GPU memory that the driver sees a process hold; None where there is no GPU, or it does not tell.

    In a container it knows processes by other numbers, and tells nothing.
    """
    found = _table("compute-apps", ("pid", "used_memory"))
    held = [used.removesuffix(" MiB") for pid, used in found if pid == str(process)]
    known = [int(used) * 2**20 for used in held if used.isdigit()]
    return sum(known) if known else None


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
    return [dict(zip(fields, row, strict=True)) for row in _table("gpu", fields)]


def _table(what: str, fields: tuple[str, ...]) -> list[list[str]]:
    """What nvidia-smi has of these fields, a row each. Its status counts for nothing: a GPU that works may have one."""
    command = ["nvidia-smi", f"--query-{what}={','.join(fields)}", "--format=csv,noheader"]
    try:
        told = subprocess.run(command, capture_output=True, text=True, check=False, timeout=30).stdout
    except (OSError, subprocess.SubprocessError):
        return []
    rows = [[entry.strip() for entry in line.split(",")] for line in told.splitlines()]
    # Warnings stand among them.
    return [row for row in rows if len(row) == len(fields)]
