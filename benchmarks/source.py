"""The project's own code that a timing or a verdict depends on, as a short hash."""

from __future__ import annotations

import hashlib
from importlib.util import find_spec
from pathlib import Path

PACKAGES = ("benchmarks", "jaxnet", "parity", "torchnet")
"""All of each: a list of the files that matter would soon be wrong."""


def source(packages: tuple[str, ...] = PACKAGES) -> str:
    """The hash. Packages are found and not imported; one that is not installed is left out."""
    found = hashlib.sha256()
    for package in packages:
        spec = find_spec(package)
        for root in map(Path, (spec and spec.submodule_search_locations) or ()):
            for file in sorted(root.rglob("*.py")):
                content = hashlib.sha256(file.read_bytes()).hexdigest()
                found.update(f"{package}/{file.relative_to(root).as_posix()} {content}\n".encode())
    return found.hexdigest()[:12]
