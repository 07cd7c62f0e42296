"""The command as users have it: with the real engine, on a pair of their own, in a process of its own."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator  # type: ignore[import-untyped]

import parity
from parity.command.app import main
from parity.recording import STAGES
from parity_tests.test_isolation import python

ROOT = Path(__file__).parents[3]
SCHEMA = json.loads((ROOT / "docs" / "parity.schema.json").read_text(encoding="utf-8"))

TINY = """
import optax
from parity import Pair, Side
torch, jax = (f"parity_tests.parity.tiny_{{side}}" for side in ("torch", "jax"))
pair = Pair(
    name="tiny", steps=3, labels="labels",
    torch=Side.from_module(torch, optimizer=f"{{torch}}:optimizer"),
    jax=Side.from_module(jax, optimizer={optimizer}),
)
"""

Said = pytest.CaptureFixture[str]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder, the current one, in which no pair is configured."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("COLUMNS", raising=False)
    return tmp_path


def one_line(said: str) -> str:
    assert re.fullmatch(r"parity: [^\n]+\n", said), said
    return said


def test_a_users_pair_agrees(folder: Path, capsys: Said) -> None:
    (folder / "tiny.py").write_text(TINY.format(optimizer='f"{jax}:optimizer"'))
    assert main(["tiny.py", "--json", "found.json"]) == 0, capsys.readouterr()
    out, err = capsys.readouterr()
    assert err == ""
    rows = [line.split() for line in out.splitlines() if line.split() and line.split()[0] in STAGES]
    assert [(row[0], row[-1]) for row in rows] == [(stage, "agree") for stage in STAGES]
    assert re.search(r"right answers on held out: torch \d+/32, JAX \d+/32\n", out)
    found = json.loads((folder / "found.json").read_text())
    Draft202012Validator(SCHEMA).validate(found)
    (pair,) = found["pairs"]
    assert pair["file"] == str(folder / "tiny.py")
    assert all(0 < value < 1e-11 for value in pair["float64_figures"]["largest"].values())
    assert len(pair["provenances"]) == 4


def test_a_port_for_inference_agrees_as_far_as_asked(folder: Path, capsys: Said) -> None:
    fewer = TINY.replace("steps=3", 'steps=3, stages=("forward", "score")').format(optimizer="None")
    (folder / "tiny.py").write_text(fewer.replace('optimizer=f"{torch}:optimizer"', "optimizer=None"))
    assert main(["tiny.py", "--json", "found.json"]) == 0, capsys.readouterr()
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "tiny  3 steps, seed 0, cpu; not asked: loss, backward, update, trajectory"
    assert lines[-1].startswith("AGREE: the same in PyTorch and in JAX: tiny as far as asked (1 of 1 pair, ")
    found = json.loads((folder / "found.json").read_text())
    Draft202012Validator(SCHEMA).validate(found)
    assert found["pairs"][0]["not_asked"] == ["loss", "backward", "update", "trajectory"]


def test_a_difference_is_told_by_where_it_is_first(folder: Path, capsys: Said) -> None:
    (folder / "tiny.py").write_text(TINY.format(optimizer="lambda: optax.adam(0.0303)"))
    assert main(["tiny.py", "--json", "found.json"]) == 1
    out, err = capsys.readouterr()
    assert err == ""
    (first,) = [line for line in out.splitlines() if line.startswith("first difference")]
    assert re.match(r"first difference: update, step 0, tensor \S+, float64: difference 0\.0\d+, limit \S+", first)
    assert out.splitlines()[-1].startswith("DIFFER: not the same in PyTorch and in JAX: tiny (1 of 1 pair, ")
    found = json.loads((folder / "found.json").read_text())
    Draft202012Validator(SCHEMA).validate(found)
    assert found["pairs"][0]["first_difference"]["stage"] == "update"


def test_a_fault_in_a_sides_own_code_names_the_side_and_the_part(folder: Path, capsys: Said) -> None:
    (folder / "tiny.py").write_text(TINY.format(optimizer="lambda: 1 / 0"))
    assert main(["tiny.py"]) == 2
    line = one_line(capsys.readouterr().err)
    assert line == "parity: tiny: the jax side's optimizer failed: ZeroDivisionError: division by zero\n"
    assert main(["tiny.py", "--traceback"]) == 2
    err = capsys.readouterr().err
    assert err.startswith(line)
    assert "Traceback" in err
    assert 'tiny.py", line' in err


@pytest.mark.parametrize("framework", ["torch", "jax"])
def test_a_missing_framework_is_one_line(folder: Path, framework: str) -> None:
    (folder / "tiny.py").write_text(TINY.format(optimizer='f"{jax}:optimizer"').replace("import optax", ""))
    code = f"from parity.command.app import main\nsys.exit(main([{str(folder / 'tiny.py')!r}]))"
    done = python(code, {framework}, [])
    assert (done.returncode, done.stdout) == (2, "")
    assert f"the {framework} side needs {framework}, which is not installed" in one_line(done.stderr)


def test_the_module_and_the_script_are_the_command(folder: Path) -> None:
    scripts = Path(sys.executable).parent / "parity"
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    for command in ([sys.executable, "-m", "parity"], [str(scripts)]):
        done = subprocess.run(
            [*command, "nobody"], cwd=folder, env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 2
        assert "no pair is called 'nobody'" in one_line(done.stderr)


def test_a_reader_of_stdout_that_leaves_is_no_difference(folder: Path) -> None:
    scores = "made_seeds.normal(0.971)"
    (folder / "made.py").write_text(
        f"from parity_tests.parity import made_seeds\npair = made_seeds.pair({scores}, {scores})"
    )
    read, write = os.pipe()
    os.close(read)
    done = subprocess.run(
        [sys.executable, "-m", "parity", "made.py", "--seeds", "16"], cwd=folder, stdout=write, stderr=subprocess.PIPE,
        env=os.environ | {"PYTHONPATH": str(ROOT)}, text=True, check=False,
    )  # fmt: skip
    os.close(write)
    assert (done.returncode, done.stderr) == (2, "")


def test_a_name_that_stdout_cannot_write_loses_no_verdict(folder: Path) -> None:
    scores = "made_seeds.normal(0.971)"
    (folder / "made.py").write_text(
        "from dataclasses import replace\nfrom parity_tests.parity import made_seeds\n"
        f"pair = replace(made_seeds.pair({scores}, {scores}), name='gr\\u00f6\\u00dfe')"
    )
    done = subprocess.run(
        [sys.executable, "-m", "parity", "made.py", "--seeds", "16"], cwd=folder, capture_output=True,
        env=os.environ | {"PYTHONPATH": str(ROOT), "PYTHONIOENCODING": "ascii"}, text=True, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    assert r"equivalent scores in PyTorch and in JAX: gr\xf6\xdfe" in done.stdout


def test_importing_parity_is_light_and_gives_all_names() -> None:
    code = """
import parity
print(sorted({name.partition(".")[0] for name in sys.modules} & {"torch", "jax", "typer", "rich", "numpy", "scipy"}))
print(all(callable(getattr(parity, name)) for name in parity.__all__), set(parity.__all__) <= set(dir(parity)))
import parity.judging.check, parity.sides.record
from parity import check, record
print(callable(check), callable(record), callable(parity.check))
"""
    done = python(code, set(), [])
    assert (done.stdout.splitlines(), done.stderr) == (["[]", "True True", "True True True"], "")
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        parity.nothing  # noqa: B018


@pytest.mark.parametrize("missing", [{"torch"}, {"jax"}, {"torch", "jax"}])
def test_help_is_there_where_a_framework_is_not(missing: set[str]) -> None:
    """So is all that can be had, by a star."""
    done = python("from parity import *\nimport parity\nhelp(parity)\nprint(Pair is parity.Pair)", missing, [])
    assert done.stderr == ""
    assert "class Pair" in done.stdout
    assert done.stdout.endswith("True\n")
    told = {"torch": "read_torch_optimizer(", "jax": "to_optax("}
    assert {framework for framework, name in told.items() if name not in done.stdout} == missing
