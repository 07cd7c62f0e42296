"""Each wing works without the other's framework, `parity` without either until a side runs, and arrows only go down."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from parity_tests.imports import FRAMEWORKS, violations

ROOT = Path(__file__).parent.parent

# Hides packages so that they look not installed, and not broken: nothing finds them, nor their metadata.
HIDE = """
import importlib, json, sys

class Without:
    def __init__(self, finder):
        self.finder = finder
    def __getattr__(self, name):
        return getattr(self.finder, name)
    def find_spec(self, name, path=None, target=None):
        return None if name.partition(".")[0] in hidden else self.finder.find_spec(name, path, target)
    def find_distributions(self, context):
        found = getattr(self.finder, "find_distributions", lambda context: [])
        return [] if context.name in hidden else found(context)

hidden, modules = json.loads(sys.argv[1])
sys.meta_path[:] = [Without(finder) for finder in sys.meta_path]
for module in modules:
    importlib.import_module(module)
"""

TRAIN = """
import math
for problem in ("line_fit", "mlp"):
    run = importlib.import_module(f"{wing}.{problem}").train(steps=2)
    assert len(run.losses) == 2 and all(map(math.isfinite, run.losses)), run.losses
    print(problem, "trained")
"""

LOADED = "print(sorted({name.partition('.')[0] for name in sys.modules}))"


def python(code: str, hidden: set[str], modules: list[str]) -> subprocess.CompletedProcess[str]:
    """What a fresh interpreter says in which `hidden` packages are not there and `modules` are imported first."""
    command = [sys.executable, "-c", HIDE + code, json.dumps([sorted(hidden), modules])]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    return subprocess.run(command, env=environment, cwd="/", capture_output=True, text=True, check=False, timeout=300)


def modules_below(folder: str) -> list[str]:
    files = sorted((ROOT / folder).rglob("*.py"))
    names = [".".join(file.relative_to(ROOT).with_suffix("").parts) for file in files]
    return [name.removesuffix(".__init__") for name in names if not name.endswith("__main__")]


def test_a_hidden_package_looks_not_installed() -> None:
    code = """
import importlib.metadata, importlib.util
assert importlib.util.find_spec("numpy") is None
for look in (importlib.import_module, importlib.metadata.version):
    try:
        look("numpy")
    except ModuleNotFoundError as error:
        print(type(error).__name__, error.name)
assert importlib.metadata.version("jaxtyping")
"""
    done = python(code, {"numpy"}, [])
    assert (done.stdout.split(), done.stderr) == (["ModuleNotFoundError", "numpy", "PackageNotFoundError", "numpy"], "")
    assert "No module named 'numpy'" in python("", {"numpy"}, ["jaxnet.data"]).stderr


@pytest.mark.parametrize(
    ("wing", "side", "other"),
    [("torchnet", "torch_side", "jax"), ("jaxnet", "jax_side", "torch")],
    ids=["torch", "jax"],
)
def test_a_wing_and_its_side_work_without_the_other_framework(wing: str, side: str, other: str) -> None:
    modules = modules_below(wing) + modules_below(f"parity/{side}")
    assert {f"{wing}.{name}" for name in ("data", "line_fit", "loops", "mlp", "mnist")} <= set(modules)
    done = python(f"wing = {wing!r}" + TRAIN + LOADED, FRAMEWORKS[other], modules)
    assert done.returncode == 0, done.stderr
    *trained, loaded = done.stdout.splitlines()
    assert trained == ["line_fit trained", "mlp trained"]
    assert not FRAMEWORKS[other] & set(json.loads(loaded.replace("'", '"')))


@pytest.mark.parametrize(
    ("module", "hidden", "missing"),
    [
        ("torchnet.mlp", "torch", "torch"),
        ("torchnet.line_fit", "torch", "torch"),
        ("torchnet.mnist", "torch", "torch"),
        ("jaxnet.mlp", "jax", "jax"),
        ("jaxnet.mnist", "optax", "optax"),
    ],
)
def test_a_problem_without_its_framework_is_one_line_that_says_what_to_install(
    module: str, hidden: str, missing: str
) -> None:
    # As `python -m` sets it while it looks for the module.
    code = f"import runpy\nsys.argv[:] = ['-m']\nrunpy.run_module({module!r}, run_name='__main__', alter_sys=True)"
    done = python(code, {hidden}, [])
    wing = module.partition(".")[0]
    extra = wing.removesuffix("net")
    assert done.stderr == (
        f"error: {wing} needs {missing}, which is not installed: pip install 'one-network-twice[{extra}]'\n"
    )
    assert (done.returncode, done.stdout) == (2, "")


@pytest.mark.parametrize("wing", ["torchnet", "jaxnet"])
def test_who_imports_a_wing_without_its_framework_has_the_error_of_python(wing: str) -> None:
    hidden = wing.removesuffix("net")
    assert python("print('here')", {hidden}, [wing]).stdout == "here\n"
    assert f"ModuleNotFoundError: No module named '{hidden}'" in python("", {hidden}, [f"{wing}.mlp"]).stderr


def test_parity_imports_no_framework_until_a_side_runs() -> None:
    modules = [
        name for name in modules_below("parity") if not name.startswith(("parity.torch_side", "parity.jax_side"))
    ]
    assert "parity.pair.pair" in modules
    done = python(LOADED, set(), modules)
    assert done.returncode == 0, done.stderr
    loaded = set(json.loads(done.stdout.replace("'", '"')))
    assert "parity" in loaded
    assert not (FRAMEWORKS["torch"] | FRAMEWORKS["jax"] | {"torchnet", "jaxnet"}) & loaded


def test_no_file_imports_what_the_design_forbids() -> None:
    assert violations(ROOT) == []


HEALTHY = {
    "torchnet/mnist.py": "import torch\nfrom torchvision import datasets\nfrom torchnet.data import read_mnist",
    "jaxnet/mnist.py": "import jax.numpy as jnp\nfrom flax import nnx\nimport optax\nfrom jaxtyping import Float",
    "parity/sides/live.py": "import numpy\ndef live():\n    from parity.torch_side.live import TorchSide",
    "parity/torch_side/live.py": "import torch\nfrom ..recording import Recording",
    "parity/jax_side/live.py": "import jax\nfrom . import layers",
    "benchmarks/torch_step.py": "import torch, torchnet, parity",
    "benchmarks/jax_step.py": "import jax, jaxnet.mnist",
    "parity_tests/test_both.py": "import torch, jax, torchnet, jaxnet, parity, benchmarks",
    "environment/pyvenv.cfg": "",
    "environment/both.py": "import torch, jax",
}
PLANTED = {
    "both in a benchmark": ("benchmarks/both.py", "import torch\nfrom flax import nnx", ["imports both frameworks"]),
    "both in a folder of its own": ("docs/both.py", "import torchvision, jaxlib", ["imports both frameworks"]),
    "both at the top": ("setup.py", "import torch.nn\nimport optax", ["imports both frameworks"]),
    "jax in torchnet": ("torchnet/mlp.py", "import jax", ["imports jax"]),
    "optax in torchnet": ("torchnet/mlp.py", "from optax import adam", ["imports jax"]),
    "torch in jaxnet": ("jaxnet/deep/mlp.py", "from torch.nn import functional", ["imports torch"]),
    "torch beside jax": ("jaxnet/mlp.py", "import jax, torch", ["imports both frameworks", "imports torch"]),
    "torch in parity": ("parity/errors.py", "import torch", ["imports torch"]),
    "jax in a function": (
        "parity/errors.py",
        "def f():\n    if True:\n        import jax.numpy",
        ["imports jax"],
    ),
    "jax for types only": (
        "parity/errors.py",
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import jax",
        ["imports jax"],
    ),
    "jax by its name": (
        "parity/errors.py",
        "import importlib\nimportlib.import_module('jax.numpy')",
        ["imports jax"],
    ),
    "torch by its name": (
        "parity/errors.py",
        "from importlib import import_module as i\n__import__('torch')",
        ["imports torch"],
    ),
    "jax on the torch side": ("parity/torch_side/live.py", "import jax", ["imports jax"]),
    "orbax on the torch side": ("parity/torch_side/live.py", "import orbax.checkpoint", ["imports jax"]),
    "torch on the jax side": ("parity/jax_side/deep/live.py", "import torch", ["imports torch"]),
    "a side in the other": ("parity/torch_side/live.py", "from ..jax_side import layers", ["imports parity.jax_side"]),
    "a side in the other, from parity": (
        "parity/jax_side/live.py",
        "from parity import torch_side",
        ["imports parity.torch_side"],
    ),
    "a wing in the other": ("torchnet/mlp.py", "from jaxnet import mlp", ["imports jaxnet"]),
    "parity in a wing": ("jaxnet/mlp.py", "import parity.judging.check", ["imports parity"]),
    "tests in a wing": ("jaxnet/mlp.py", "from parity_tests.by_hand import forward", ["imports parity_tests"]),
    "a wing in parity": ("parity/errors.py", "from torchnet.data import read_mnist", ["imports torchnet"]),
    "a wing in a side": ("parity/jax_side/live.py", "import jaxnet", ["imports jaxnet"]),
    "benchmarks in parity": ("parity/errors.py", "import benchmarks", ["imports benchmarks"]),
    "tests in benchmarks": ("benchmarks/step.py", "import parity_tests", ["imports parity_tests"]),
    "out of the package": ("torchnet/deep/mlp.py", "from ... import parity", ["imports parity"]),
}


def write(root: Path, files: dict[str, str]) -> Path:
    for name, source in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(source)
    return root


def test_what_the_design_allows_is_allowed(tmp_path: Path) -> None:
    assert violations(write(tmp_path, HEALTHY)) == []


@pytest.mark.parametrize(("file", "source", "complaints"), PLANTED.values(), ids=PLANTED)
def test_a_forbidden_import_is_found(tmp_path: Path, file: str, source: str, complaints: list[str]) -> None:
    assert violations(write(tmp_path, HEALTHY | {file: source})) == [f"{file}: {complaint}" for complaint in complaints]
