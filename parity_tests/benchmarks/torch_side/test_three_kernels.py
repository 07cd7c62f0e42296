"""The kernels in Triton do what the wing does, and compile for a GPU that is not there."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from benchmarks.kernels import COLUMNS, EDGE, TF32, WHOLE, Tiles, stack_of
from torchnet import mnist

triton = pytest.importorskip("triton", reason="this build of torch has no Triton")

from benchmarks.torch_side import kernels  # noqa: E402 -- without Triton there is none
from parity_tests.benchmarks.torch_side import interpreted  # noqa: E402


@pytest.fixture(scope="module")
def distances() -> dict[str, float]:
    """How far from the wing's run the kernels' is, with each of the mistakes."""
    command = [sys.executable, "-m", interpreted.__name__]
    done = subprocess.run(
        command, env=os.environ | {"TRITON_INTERPRET": "1"}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    found: dict[str, float] = json.loads(done.stdout)
    return found


def test_the_kernels_do_what_the_wing_does(distances: dict[str, float]) -> None:
    assert distances.keys() == interpreted.MISTAKES.keys()
    # 1.3e-14 apart; the nearest of the mistakes below is 0.96.
    assert distances[interpreted.RIGHT] < 1e-12


@pytest.mark.parametrize("mistake", [name for name in interpreted.MISTAKES if name != interpreted.RIGHT])
def test_a_mistake_shows(mistake: str, distances: dict[str, float]) -> None:
    assert not distances[mistake] < 1e-6


H100, SHARED_BYTES = 90, 227 * 1024
"""Its compute capability, and what memory a program may share. Source: NVIDIA, CUDA C++ Programming Guide, table 30."""
STACK = stack_of(mnist.PROBLEM.draw_parameters(0), 1000)
KINDS = {"float32": ("fp32", "ieee", WHOLE), "tf32": ("fp32", "tf32", TF32), "float64": ("fp64", "ieee", WHOLE)}
FLOATS = ("images", "weights", "exp_avg", "exp_avg_sq", "inputs", "gradients", "losses")
WHOLE_NUMBERS = ("rows", "labels")


def compiled(name: str, floats: str, precision: str, tiles: Tiles, of: Any = kernels) -> Any:
    """The kernel of this module for an H100."""
    from triton.backends.compiler import GPUTarget
    from triton.compiler import ASTSource

    kernel, tile = getattr(of, name), getattr(tiles, name)
    types = dict.fromkeys(FLOATS, f"*{floats}") | dict.fromkeys(WHOLE_NUMBERS, "*i64")
    types |= {"corrections": "*fp64", "examples": "i32"}
    known = {
        "UNITS": STACK.units, "DIGITS": STACK.digits, "FIRST": STACK.first, "COLUMNS": COLUMNS, "HEIGHT": STACK.height,
        "BATCH": STACK.examples, "E": tile.examples, "K": tile.inputs, "N": tile.units, "OUT": EDGE,
        "PRECISION": precision,
    }  # fmt: skip
    places = {argument: place for place, argument in enumerate(kernel.arg_names)}
    source = ASTSource(
        kernel,
        signature={argument: types.get(argument, "constexpr") for argument in kernel.arg_names},
        constexprs={(places[argument],): value for argument, value in known.items() if argument in places},
        # As a launch finds it: tables begin at multiples of 16 bytes.
        attrs={
            (place,): [["tt.divisibility", 16]] for argument, place in places.items()
            if types.get(argument, "").startswith("*")
        },
    )  # fmt: skip
    how = {"num_warps": tile.warps, "num_stages": tile.stages}
    return triton.compile(source, target=GPUTarget("cuda", H100, 32), options=how)


def spilled(ptx: str, folder: Path) -> list[str]:
    """What NVIDIA's assembler says of registers that do not suffice."""
    from triton import knobs

    (folder / "kernel.ptx").write_text(ptx, encoding="utf-8")
    command = [knobs.nvidia.ptxas.path, "-v", f"-arch=sm_{H100}a", "kernel.ptx", "-o", "kernel.cubin"]
    said = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True).stderr
    return re.findall(r"(\d+) bytes spill", said)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", Tiles._fields)
def test_a_kernel_compiles_for_an_h100(name: str, kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRITON_CACHE_DIR", str(tmp_path / "cache"))
    made = compiled(name, *KINDS[kind])
    assert made.metadata.shared <= SHARED_BYTES
    ptx = made.asm["ptx"]
    if kind != "float64":
        # That is for checking and not timed.
        assert spilled(ptx, tmp_path) == ["0", "0"]
    # The products are those of the precision that was asked for.
    assert ("mma.sync" in ptx and ".tf32" in ptx) == (kind == "tf32")
    if kind == "float32":
        assert "fma.rn.f32" in ptx
    if kind == "float64":
        assert "mma.sync" in ptx or "fma.rn.f64" in ptx
    # Loads of a product are under way while the one before is made.
    assert "cp.async" in ptx


def unrounded(name: str, text: str, folder: Path) -> list[str]:
    """The registers that a product takes and that were not rounded to TF32: of those it cuts the low bits off."""
    ptx = compiled(name, *KINDS["tf32"], of=interpreted.read(text, folder)).asm["ptx"]
    rounded = set(re.findall(r"cvt\.rna\.tf32\.f32 (%\w+),", ptx))
    factors = re.findall(r"mma\.sync[^{]*\{[^}]*\}, \{([^}]*)\}, \{([^}]*)\}", ptx)
    assert factors
    return [
        register
        for pair in factors
        for part in pair
        for register in part.split(", ")
        if register.strip() not in rounded
    ]


TEXT = Path(str(kernels.__file__)).read_text(encoding="utf-8")
ROUNDED = {
    "first_layer": ("factor(x, PRECISION)", "factor(w, PRECISION)"),
    "update": ("factor(tl.load(left + i[:, None] * LEFT_I + k[None, :] * LEFT_K), PRECISION)",
               "factor(tl.load(right + k[:, None] * RIGHT_K + j[None, :] * RIGHT_J), PRECISION)"),
}  # fmt: skip


@pytest.mark.parametrize("name", Tiles._fields)
def test_every_factor_is_rounded_to_tf32(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRITON_CACHE_DIR", str(tmp_path / "cache"))
    assert not unrounded(name, TEXT, tmp_path)
    for right in ROUNDED.get(name, ()):
        assert right in TEXT
        as_it_is = right.removeprefix("factor(").removesuffix(", PRECISION)")
        assert unrounded(name, TEXT.replace(right, as_it_is), tmp_path)


BARRIER = "    tl.debug_barrier()\n"


def unguarded(text: str, folder: Path) -> int:
    """How often threads of `there_and_back` read memory after a write without having met in between."""
    ptx = compiled("there_and_back", *KINDS["float32"], of=interpreted.read(text, folder)).asm["ptx"]
    found, written = 0, False
    for mark in re.findall(r"st\.global|bar\.sync|ld\.global|cp\.async\.c[ag]\.shared", ptx):
        if mark.startswith(("ld", "cp")):
            found += written
        written = mark == "st.global" or (written and mark != "bar.sync")
    return found


def test_threads_meet_before_they_read_what_others_wrote(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRITON_CACHE_DIR", str(tmp_path / "cache"))
    places = [found.start() for found in re.finditer(re.escape(BARRIER), TEXT)]
    assert len(places) == 3
    assert not unguarded(TEXT, tmp_path)
    for place in places:
        assert unguarded(TEXT[:place] + TEXT[place + len(BARRIER) :], tmp_path)
