"""Each promise of conftest.py, shown to be broken by the mistake that it is there for."""

from __future__ import annotations

import importlib
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent

PLANTED = """
import os

import hypothesis
import pytest

LEAKS = {
    "nothing": lambda torch, jax: None,
    "dtype": lambda torch, jax: torch.set_default_dtype(torch.float64),
    "precision": lambda torch, jax: torch.set_float32_matmul_precision("high"),
    "gradient": lambda torch, jax: torch.set_grad_enabled(False),
    "threads": lambda torch, jax: torch.set_num_threads(1),
    "x64": lambda torch, jax: jax.config.update("jax_enable_x64", True),
    "jax_precision": lambda torch, jax: jax.config.update("jax_default_matmul_precision", "tensorfloat32"),
}

@pytest.mark.parametrize("leak", LEAKS)
def test_leak(leak):
    import jax
    import torch

    # What the tests before this one left has been put right.
    assert torch.ones(1).dtype == torch.float32
    assert jax.numpy.ones(1, float).dtype == jax.numpy.float32
    LEAKS[leak](torch, jax)

def test_pins():
    assert "JAX_ENABLE_X64" not in os.environ
    assert "parity-tests-" in os.environ["XDG_CACHE_HOME"]

@pytest.mark.compiled
def test_compiled():
    pass

@hypothesis.given(hypothesis.strategies.floats())
def test_draws(number):
    with open(os.environ["DRAWS"], "a") as file:
        print(number, file=file)
"""


def run(folder: Path, *tests: str, **environment: str) -> str:
    """The output of pytest over planted tests, under this project's settings, on a machine that suits them badly."""
    shutil.copy(HERE / "conftest.py", folder)
    (folder / "test_planted.py").write_text(PLANTED)
    command = [sys.executable, "-m", "pytest", "-c", str(HERE.parent / "pyproject.toml"), f"--rootdir={folder}"]
    command += ["-p", "no:cacheprovider", "--tb=line", "-rA"]
    command += [f"{folder / 'test_planted.py'}::{test}" for test in tests]
    machine = {"CXX": "no-such-compiler", "JAX_ENABLE_X64": "1", "DRAWS": str(folder / "draws"), "COLUMNS": "300"}
    done = subprocess.run(
        command, env=os.environ | machine | environment, capture_output=True, text=True, timeout=120, check=False
    )
    return done.stdout + done.stderr


@pytest.fixture(scope="module")
def free(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """All planted tests, where the compiled loop need not run: their folder and what pytest prints."""
    folder = tmp_path_factory.mktemp("free")
    return folder, run(folder, "test_leak", "test_pins", "test_compiled", "test_draws", PARITY_REQUIRE_COMPILED="0")


@pytest.fixture(scope="module")
def strict(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """Some of them, where it has to."""
    folder = tmp_path_factory.mktemp("strict")
    return folder, run(folder, "test_compiled", "test_draws", PARITY_REQUIRE_COMPILED="1")


def test_what_a_test_leaves_changed_is_its_own_error(free: tuple[Path, str]) -> None:
    leaks = {
        "dtype": "torch's default dtype is torch.float64, expected torch.float32",
        "precision": "torch's matmul precision is high, expected highest",
        "gradient": "torch's gradient mode is False, expected True",
        "threads": "torch's threads is 1, expected 2",
        "x64": "jax_enable_x64 is True, expected False",
        "jax_precision": "jax_default_matmul_precision is tensorfloat32, expected None",
    }
    found = re.findall(r"^ERROR .*::test_leak\[(\w+)\] - Failed: left changed: (.*)$", free[1], re.MULTILINE)
    assert dict(found) == leaks
    assert f", {len(leaks)} errors in" in free[1]


def test_the_machine_does_not_choose_the_arithmetic(free: tuple[Path, str]) -> None:
    assert re.search(r"^PASSED .*::test_pins$", free[1], re.MULTILINE)


def test_without_a_compiler_a_test_is_skipped_with_the_reason(free: tuple[Path, str]) -> None:
    assert re.search(r"^SKIPPED .*a C\+\+ compiler, and no-such-compiler is not on the path", free[1], re.MULTILINE)


def test_where_the_compiled_loop_is_required_a_skipped_test_fails(strict: tuple[Path, str]) -> None:
    assert re.search(r"PARITY_REQUIRE_COMPILED=1, but \S+::test_compiled was skipped: .*a C\+\+ compiler", strict[1])
    assert "1 passed, 1 error in" in strict[1]


def test_where_the_compiled_loop_is_required_a_run_without_it_fails(tmp_path: Path) -> None:
    output = run(tmp_path, "test_pins", PARITY_REQUIRE_COMPILED="1")
    assert "ERROR: PARITY_REQUIRE_COMPILED=1, but no test marked `compiled` is among those to run" in output


def test_draws_are_the_same_in_every_run(free: tuple[Path, str], strict: tuple[Path, str]) -> None:
    draws = [(folder / "draws").read_text() for folder, _ in (free, strict)]
    assert draws[0] == draws[1]
    assert draws[0].count("\n") > 50


def test_a_module_written_twice_within_a_second_is_read_twice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "written_twice.py"
    monkeypatch.syspath_prepend(tmp_path)
    for value in (1, 2):
        path.write_text(f"value = {value}\n")
        os.utime(path, (0, 0))  # Whatever the clock says, both were written in one second.
        monkeypatch.delitem(sys.modules, path.stem, raising=False)
        assert importlib.import_module(path.stem).value == value
