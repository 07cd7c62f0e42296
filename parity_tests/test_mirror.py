"""The wings mirror each other, and whatever breaks the mirror is named."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import NamedTuple

import pytest

from parity_tests.mirror import WINGS, violations, what_differs_table
from parity_tests.mirror_exceptions import EXCEPTIONS

ROOT = Path(__file__).parent.parent


class Planted(NamedTuple):
    """A text in a file, what it is replaced by, and how the complaints begin."""

    file: str
    old: str
    new: str
    complaints: tuple[str, ...]


PLANTED = {
    "a function more": Planted(
        "jaxnet/draws.py", "def generator(", "def four() -> int:\n    return 4\n\n\ndef generator(",
        ("draws.py four: only jaxnet",),
    ),
    "a private function more": Planted(
        "jaxnet/draws.py", "def generator(", "def _four() -> int:\n    return 4\n\n\ndef generator(",
        ("draws.py _four: only jaxnet",),
    ),
    "a method more": Planted(
        "torchnet/settings.py", "    @property", "    def last(self) -> int:\n        return 4\n\n    @property",
        ("settings.py Settings.last: only torchnet",),
    ),
    "a constant less": Planted(
        "torchnet/settings.py", 'PRECISIONS = ("float32", "tf32")', "", ("settings.py PRECISIONS: only jaxnet",)
    ),
    "a field less": Planted(
        "jaxnet/settings.py", "    count: int | None = None\n", "", ("settings.py Settings.count: only torchnet",)
    ),
    "a statement more": Planted(
        "torchnet/draws.py", "PARAMETERS, DATA", "np.seterr(all='raise')\nPARAMETERS, DATA",
        ("draws.py np.seterr(all='raise'): only torchnet",),
    ),
    "another value": Planted("jaxnet/settings.py", '"gpu")', '"tpu")', ("settings.py DEVICES: value",)),
    "another value beside": Planted("jaxnet/draws.py", "= 0, 1", "= 1, 0", ("draws.py PARAMETERS, DATA: value",)),
    "another value of a field": Planted(
        "jaxnet/settings.py", "start: int = 0", "start: int = 1", ("settings.py Settings.start: value",)
    ),
    "another base": Planted(
        "jaxnet/settings.py", "SettingsError(ValueError)", "SettingsError(Exception)",
        ("settings.py SettingsError: signature",),
    ),
    "another decorator": Planted(
        "torchnet/settings.py", "@dataclass(frozen=True)", "@dataclass", ("settings.py Settings: signature",)
    ),
    "another default": Planted("jaxnet/mlp.py", "steps: int = 100", "steps: int = 99", ("mlp.py train: signature",)),
    "another kind of parameter": Planted("torchnet/mlp.py", "    *,\n", "", ("mlp.py train: signature",)),
    "another parameter order": Planted(
        "jaxnet/line_fit.py", "loss(model: Line, batch: Batch)", "loss(batch: Batch, model: Line)",
        ("line_fit.py loss: signature",),
    ),
    "another annotation": Planted(
        "jaxnet/line_fit.py", "model: Line, batch: Batch) -> Points", "model: Line, batch: Batch) -> Scalar",
        ("line_fit.py predict: signature",),
    ),
    "another docstring": Planted(
        "torchnet/mnist.py", "The mean cross-entropy", "The cross-entropy", ("mnist.py loss: docstring",)
    ),
    "another docstring of the file": Planted(
        "torchnet/mlp.py", "linear, ReLU, linear", "two layers", ("mlp.py module: docstring",)
    ),
    "another docstring of a class": Planted(
        "jaxnet/mlp.py", "Five numbers in", "5 numbers in", ("mlp.py MLP: docstring",)
    ),
    "another order": Planted(
        "jaxnet/settings.py", 'DEVICES = ("cpu", "gpu")\nDTYPES = ("float32", "float64")',
        'DTYPES = ("float32", "float64")\nDEVICES = ("cpu", "gpu")', ("settings.py DEVICES: order",),
    ),
    "a neutral body that differs": Planted(
        "torchnet/draws.py", "1 / np.sqrt(inputs)", "inputs**-0.5",
        ("draws.py draw_linear: neutral body", "exception: draws.py draw_linear: the wings do not have the same"),
    ),
    "a neutral comment that differs": Planted(
        "jaxnet/data.py", "# 8 stands for bytes", "# 8 is for bytes", ("data.py _check_content: neutral body",)
    ),
    "a comment above": Planted(
        "jaxnet/draws.py", "PARAMETERS, DATA = ", "# Two.\nPARAMETERS, DATA = ", ("draws.py PARAMETERS, DATA: value",)
    ),
    "a neutral line that differs beside one that may": Planted(
        "jaxnet/mnist.py", "logits.argmax(1)", "logits.argmax(-1)", ("mnist.py accuracies: neutral body",)
    ),
    "a stale exception": Planted(
        "jaxnet/problem.py", "step: Any", "step: int",
        ("exception: problem.py Feed.batch: signature: differs no more", "exception: jaxnet: no `step: Any` in"),
    ),
    "a stale exception of a name": Planted(
        "jaxnet/loops.py", "def one_step(", "def _first_step(",
        ("loops.py _first_step: only jaxnet", "exception: loops.py one_step: only jaxnet: differs no more"),
    ),
    "an exception that tells of other code": Planted(
        "torchnet/settings.py", "torch.cuda.is_available()", "torch.cuda.device_count()",
        ("exception: torchnet: no `torch.cuda.is_available` in settings.py",),
    ),
}  # fmt: skip


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A copy of both wings."""
    for wing in WINGS:
        shutil.copytree(ROOT / wing, tmp_path / wing, ignore=shutil.ignore_patterns("__pycache__"))
    return tmp_path


def assert_complaints(found: list[str], begin: tuple[str, ...]) -> None:
    assert len(found) == len(begin), found
    assert all(complaint.startswith(start) for complaint, start in zip(found, begin, strict=True)), found


def test_the_wings_mirror_each_other() -> None:
    assert violations(ROOT) == []


@pytest.mark.parametrize("planted", PLANTED.values(), ids=PLANTED)
def test_what_breaks_the_mirror_is_named(tree: Path, planted: Planted) -> None:
    file = tree / planted.file
    text = file.read_text()
    assert planted.old in text
    file.write_text(text.replace(planted.old, planted.new, 1))
    assert_complaints(violations(tree), planted.complaints)


@pytest.mark.parametrize(("wing", "other"), [WINGS, WINGS[::-1]], ids=WINGS)
def test_a_missing_file_is_named(tree: Path, wing: str, other: str) -> None:
    (tree / wing / "minibatches.py").unlink()
    (tree / other / "py.typed").unlink()
    expected = {f"minibatches.py: only {other}: {wing} has none", f"py.typed: only {wing}: {other} has none"}
    assert set(violations(tree)) == expected


def test_a_row_without_its_file_is_named(tree: Path) -> None:
    (tree / "torchnet" / "functional.py").unlink()
    assert_complaints(violations(tree), ("exception: functional.py: only torchnet: differs no more",))


def test_the_table_has_a_row_for_every_exception() -> None:
    rows = what_differs_table().splitlines()[2:]
    assert len(rows) == len(EXCEPTIONS)
    for row, exception in zip(rows, EXCEPTIONS, strict=True):
        where, torchnet, jaxnet, why = (cell.strip() for cell in re.split(r"(?<!\\)\|", row)[1:-1])
        assert (torchnet, jaxnet, why) == exception[1:]
        assert all((torchnet, jaxnet, why))
        assert all(f"`{part}`" in where for place in exception.where for part in place.split(" "))
