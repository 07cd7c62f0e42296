"""The parts of README.md that come from the code: `python -m parity_tests.readme` writes them, a test holds them.

Each stands between `<!-- begin NAME -->` and `<!-- end NAME -->`. With `--measure` the table that `parity` prints is
measured anew, too.
"""

from __future__ import annotations

import ast
import os
import platform
import re
import subprocess
import sys
from datetime import date
from importlib.metadata import version
from pathlib import Path

from benchmarks.headline import headline
from parity_tests.mirror import what_differs_table

ROOT = Path(__file__).resolve().parent.parent
README = ROOT / "README.md"


def source(file: str, *names: str) -> str:
    """Definitions of a file, as they stand there."""
    text = (ROOT / file).read_text()
    lines = text.splitlines()
    found = {node.name: node for node in ast.parse(text).body if isinstance(node, ast.FunctionDef | ast.ClassDef)}
    pieces = []
    for name in names:
        node = found[name]
        first = min([node.lineno, *(decorator.lineno for decorator in node.decorator_list)])
        pieces.append("\n".join(lines[first - 1 : node.end_lineno]))
    return "\n\n\n".join(pieces)


def model() -> str:
    """The classifier in both frameworks."""
    blocks = [
        f"`{wing}/mnist.py`\n\n```python\n{source(f'{wing}/mnist.py', 'Classifier', 'loss')}\n```"
        for wing in ("torchnet", "jaxnet")
    ]
    return "\n\n".join(blocks)


def measured() -> str:
    """What `parity` prints on this machine, with what it ran on."""
    run = subprocess.run(
        [Path(sys.executable).parent / "parity"], cwd=ROOT, capture_output=True, text=True, check=True,
        env={**os.environ, "COLUMNS": "100", "NO_COLOR": "1"},
    )  # fmt: skip
    printed = "\n".join(line.rstrip() for line in run.stdout.strip().splitlines())
    versions = ", ".join(f"{name} {version(name)}" for name in ("torch", "jax", "flax", "optax"))
    machine = f"{os.cpu_count()} {platform.machine()} CPU cores"
    ran_on = f"{machine}, Python {platform.python_version()}, {versions}; n = 1, seed 0"
    return f"```\n{printed}\n```\n\n`parity` on {date.today()}: {ran_on}."


CURRENT = {"model": model, "what differs": what_differs_table, "benchmark": headline}
"""What follows from files of this repository alone, and so is held to them by a test."""


def block(text: str, name: str) -> str:
    """What stands in a block of the README."""
    found = re.search(_pattern(name), text, re.DOTALL)
    if found is None:
        raise ValueError(f"README.md has no block '{name}': add <!-- begin {name} --> and <!-- end {name} -->")
    return found[2].strip()


def with_block(text: str, name: str, content: str) -> str:
    """The README with another content of a block."""
    block(text, name)
    return re.sub(_pattern(name), lambda found: f"{found[1]}\n\n{content}\n\n{found[3]}", text, flags=re.DOTALL)


def _pattern(name: str) -> str:
    return rf"(<!-- begin {re.escape(name)} -->)(.*?)(<!-- end {re.escape(name)} -->)"


def main() -> None:
    """Write the blocks into README.md."""
    text = README.read_text()
    for name, content in CURRENT.items():
        text = with_block(text, name, content())
    if "--measure" in sys.argv[1:]:
        text = with_block(text, "parity", measured())
    new = README.with_suffix(".new")
    new.write_text(text)
    os.replace(new, README)


if __name__ == "__main__":
    main()
