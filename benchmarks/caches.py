"""Where both frameworks keep compiled programs on disk, and what is known to be there."""

from __future__ import annotations

import hashlib
import os
from importlib.metadata import version
from pathlib import Path

from benchmarks.case import Case
from benchmarks.store import writing
from benchmarks.variants import Variant


def user_folder() -> Path:
    """Where compiled programs stay between benchmarks: below XDG_CACHE_HOME, or ~/.cache."""
    base = os.environ.get("XDG_CACHE_HOME", "")
    home = Path(base) if os.path.isabs(base) else Path.home() / ".cache"
    return home / "one-network-twice" / "benchmarks"


def environment(folder: Path) -> dict[str, str]:
    """What has a process keep its compiled programs in a folder.

    torch's cache is on by itself, JAX's is not, and JAX would leave out what compiled within a second.
    """
    return {
        "TORCHINDUCTOR_CACHE_DIR": str(folder / "torch"),
        "TRITON_CACHE_DIR": str(folder / "triton"),
        "JAX_COMPILATION_CACHE_DIR": str(folder / "jax"),
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
        "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "-1",
        # JAX would take three quarters of a GPU's memory at its first use, and leave the other processes the rest.
        "XLA_PYTHON_CLIENT_PREALLOCATE": "false",
        # Where other work shares the cores, torch's threads would spin while they wait for each other.
        "GOMP_SPINCOUNT": os.environ.get("GOMP_SPINCOUNT", "10000"),
    }


def is_cached(folder: Path, case: Case, variant: Variant) -> bool:
    """Whether a process of this variant has left what it compiled in the folder."""
    return _mark(folder, case, variant).exists()


def remember(folder: Path, case: Case, variant: Variant) -> None:
    """Note that a process of this variant has done so.

    Raises:
        NotCheckable: that cannot be written.
    """
    mark = _mark(folder, case, variant)
    with writing(mark, "name another place for caches by XDG_CACHE_HOME"):
        mark.parent.mkdir(parents=True, exist_ok=True)
        mark.touch()


def _mark(folder: Path, case: Case, variant: Variant) -> Path:
    program = f"{case.name} {variant.full_name} {version(variant.framework)}"
    return folder / "compiled" / hashlib.sha256(program.encode()).hexdigest()[:16]
