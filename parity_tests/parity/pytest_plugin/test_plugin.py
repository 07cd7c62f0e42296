"""The plugin as pytest loads it: from the entry point, at no cost to who does not use it, and in nobody's way."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from parity_tests.parity.pytest_plugin.made_project import Engine, Project

ROOT = Path(__file__).parents[3]
HEAVY = {"torch", "jax", "flax", "optax", "numpy", "scipy", "safetensors", "rich", "typer"}
LOADED = """
import json, sys
def test_loaded():
    print("LOADED", json.dumps(sorted({name.partition(".")[0] for name in sys.modules})))
"""


def installed(folder: Path) -> None:
    """Make an installed distribution with the entry points of this project's pyproject.toml, and nothing else."""
    points = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["entry-points"]["pytest11"]
    info = folder / "made_distribution-1.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: made-distribution\nVersion: 1\n")
    lines = [f"{name} = {module}" for name, module in points.items()]
    (info / "entry_points.txt").write_text("\n".join(["[pytest11]", *lines, ""]))


def pytest_of_a_user(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    installed(folder / "site")
    (folder / "tests").mkdir()
    (folder / "tests" / "test_loaded.py").write_text(LOADED)
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-p",
        "no:cacheprovider",
        "-p",
        "no:hypothesispytest",
        "-p",
        "no:jaxtyping",
    ]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(folder / "site"), str(ROOT)])}
    return subprocess.run(
        [*command, *arguments], cwd=folder / "tests", env=environment, capture_output=True, text=True, check=False
    )


def test_it_comes_with_the_installation_and_costs_no_import(tmp_path: Path) -> None:
    done = pytest_of_a_user(tmp_path, "-s")
    assert done.returncode == 0, done.stdout + done.stderr
    (said,) = [line.partition("LOADED ")[2] for line in done.stdout.splitlines() if "LOADED " in line]
    loaded = set(json.loads(said))
    assert "parity" in loaded
    assert loaded & HEAVY == set()


def test_it_can_be_left_out(tmp_path: Path) -> None:
    done = pytest_of_a_user(tmp_path, "-s", "-p", "no:parity")
    assert done.returncode == 0, done.stdout + done.stderr
    assert '"parity"' not in done.stdout


def test_what_it_adds_is_told_by_pytest(project: Project) -> None:
    project.run("--help").stdout.fnmatch_lines(["PyTorch and JAX (parity):", "*--parity-bundles=DIR*"])
    project.run("--markers").stdout.fnmatch_lines(["@pytest.mark.parity(device='gpu', dtypes=('float64',)): *"])
    fixtures = project.run("--fixtures")
    fixtures.stdout.fnmatch_lines(["parity_check *", "*Checks that the two sides of a pair agree: *"])


def test_every_name_that_it_adds_is_its_own(project: Project) -> None:
    lines = project.run("--help").outlines
    begin = lines.index("PyTorch and JAX (parity):")
    options = [line.split()[0] for line in lines[begin + 1 : lines.index("", begin)] if line.strip().startswith("-")]
    assert options == ["--parity-bundles=DIR"]


def test_the_marker_is_known_where_unknown_ones_are_errors(project: Project, engine: Engine) -> None:
    project.test("parity_check('pairs/a.py')", "@pytest.mark.parity(device='cpu')")
    project.run("--strict-markers").assert_outcomes(passed=1)
    project.test("pass", "@pytest.mark.paritty(device='cpu')")
    project.run("--strict-markers").assert_outcomes(errors=1)


def test_a_check_may_be_made_by_a_fixture(project: Project, engine: Engine) -> None:
    project.write(
        "tests/test_port.py",
        "import pytest\n\n@pytest.fixture\ndef verdict(parity_check):\n    return parity_check('pairs/a.py')\n\n"
        "def test_port(verdict):\n    assert verdict.outcome == 'agree'\n",
    )
    project.run().assert_outcomes(passed=1)


@pytest.mark.parametrize("option", ["--seed", "--device", "--loops"])
def test_it_takes_no_name_that_others_may_want(project: Project, option: str) -> None:
    project.test("pass")
    assert project.run(option, "1").ret == pytest.ExitCode.USAGE_ERROR
