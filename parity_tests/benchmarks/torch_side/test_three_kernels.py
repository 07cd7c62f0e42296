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

from benchmarks.kernels import EDGE, TF32, WHOLE, WIDTH, Tiles, stack_of
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


def compiled(name: str, floats: str, precision: str, tiles: Tiles) -> Any:
    """The kernel for an H100."""
    from triton.backends.compiler import GPUTarget
    from triton.compiler import ASTSource

    kernel, tile = getattr(kernels, name), getattr(tiles, name)
    types = dict.fromkeys(FLOATS, f"*{floats}") | dict.fromkeys(WHOLE_NUMBERS, "*i64")
    types |= {"scales": "*fp64", "examples": "i32"}
    known = {
        "UNITS": STACK.units, "DIGITS": STACK.digits, "FIRST": STACK.first, "WIDTH": WIDTH, "HEIGHT": STACK.height,
        "EXAMPLES": STACK.examples, "E": tile.examples, "K": tile.inputs, "N": tile.units, "OUT": EDGE,
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
    assert (".tf32" in ptx) == (kind == "tf32")
    assert ("fma.rn.f32" in ptx) >= (kind == "float32")
    assert (".f64" in ptx) >= (kind == "float64")
    # Loads of a product are under way while the one before is made.
    assert "cp.async" in ptx
