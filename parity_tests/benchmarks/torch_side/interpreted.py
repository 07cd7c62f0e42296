"""Kernels in Triton on a CPU, right and with mistakes planted in their text: how far each run is from the wing's.

A process of its own, `python -m`, since Triton interprets what was read while `TRITON_INTERPRET` was 1, its own
functions included, and compiles what was not.
"""

from __future__ import annotations

import importlib.util
import json
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any
from unittest.mock import patch

from torch import Tensor

from benchmarks.case import Case
from benchmarks.prepared import Outcome
from benchmarks.torch_side import kernels, three_kernels
from benchmarks.torch_side.problems import Setup, setup
from benchmarks.torch_side.variants import prepare
from parity_tests.benchmarks.outcomes import apart
from torchnet import mnist
from torchnet.settings import Settings, computing

RIGHT = "none"
MISTAKES = {
    RIGHT: ("", ""),
    "no ReLU on the way back": ("unit & (x3 > 0)", "unit & (x3 > -1)"),
    "what fills a batch up counts": ("e < examples,", "e >= 0,"),
    "the bias's input is no 1": ("(n == UNITS)", "(n == 0)"),
    "a share of the examples is not copied": ("== tl.program_id(1)", "== 0"),
    "a gradient of another layer": ("gradients + layer * COLUMNS", "gradients + (layer - layer // 2) * COLUMNS"),
    "the second mean is not corrected": ("/ correction", "/ 1.0"),
}
"""By what each is called: which text becomes which."""


def in_place(how: Settings, held: Sequence[Tensor], steps: Callable[[range], Any]) -> Any:
    """What stands in for a CUDA graph, for one run."""
    return lambda: None, lambda placed: steps(how.indices)


def read(text: str, folder: Path) -> ModuleType:
    """The kernels with this text, which Triton looks up in a file."""
    file = folder / "kernels.py"
    file.write_text(text, encoding="utf-8")
    spec = importlib.util.spec_from_file_location("kernels_with_a_mistake", file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def run(module: ModuleType, made: Setup) -> Outcome:
    """What the kernels' run comes to."""
    with patch.object(three_kernels, "kernels", module):
        prepared = three_kernels.three_kernels(made, in_place)
        return prepared.read(prepared.run(prepared.place()))[0]


def main() -> None:
    """Two steps of MNIST in float64 from the middle of a run, once for each mistake."""
    middle = mnist.train(steps=3, dtype="float64").state
    text = Path(str(kernels.__file__)).read_text(encoding="utf-8")
    found = {}
    with computing("cpu", "float64"), tempfile.TemporaryDirectory() as folder:
        made = setup(Case("mnist", steps=8, batch_size=20), "float64", seeds=[0], start=3, count=2, state=middle)
        stepped = prepare("stepped", made)
        expected = stepped.read(stepped.run(stepped.place()))[0]
        for mistake, (before, after) in MISTAKES.items():
            wrong = text.replace(before, after)
            assert (wrong == text) == (mistake == RIGHT), mistake
            found[mistake] = apart(run(read(wrong, Path(folder)), made), expected)
    json.dump(found, sys.stdout)


if __name__ == "__main__":
    main()
