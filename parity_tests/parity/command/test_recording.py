"""`parity record` and `parity check --against`: one framework at a time, and one line where the file is of no use."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator  # type: ignore[import-untyped]
from safetensors import safe_open
from safetensors.numpy import load_file, save

from parity.command.app import main
from parity.golden.file import METADATA, SCHEMA_VERSION
from parity.recording import FRAMEWORKS, OTHER, STAGES, Framework
from parity_tests.imports import FRAMEWORKS as PACKAGES
from parity_tests.test_isolation import python

ROOT = Path(__file__).parents[3]
SCHEMA = json.loads((ROOT / "docs" / "parity.schema.json").read_text(encoding="utf-8"))
NAMES = {"torch": "torch", "jax": "JAX"}
Said = pytest.CaptureFixture[str]

TINY = """
from parity import Pair, Side
torch, jax = (f"parity_tests.parity.tiny_{side}" for side in ("torch", "jax"))
pair = Pair(
    name="tiny", steps=3, labels="labels",
    torch=Side.from_module(torch, optimizer=f"{torch}:optimizer"),
    jax=Side.from_module(jax, optimizer=f"{jax}:optimizer"),
)
"""
RUN = "from parity.command.app import main\nsys.exit(main({arguments!r}))"


@pytest.fixture(scope="module")
def goldens(tmp_path_factory: pytest.TempPathFactory) -> dict[Framework, Path]:
    """A golden of each side, written where the other's framework is not there."""
    folder = tmp_path_factory.mktemp("goldens")
    (folder / "tiny.py").write_text(TINY)
    found: dict[Framework, Path] = {}
    for side in FRAMEWORKS:
        found[side] = folder / f"{side}.parity"
        arguments = ["record", str(folder / "tiny.py"), "--side", side, "-o", str(found[side])]
        done = python(RUN.format(arguments=arguments), PACKAGES[OTHER[side]], [])
        assert (done.returncode, done.stderr) == (0, "")
        (line,) = done.stdout.splitlines()
        said = rf"tiny: the {side} side is recorded in {found[side]} \(3 steps, seed 0, cpu, 0\.\d MB\)"
        assert re.fullmatch(said, line)
    return found


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, in which the tiny pair is the only one that is configured."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("COLUMNS", raising=False)
    (tmp_path / "tiny.py").write_text(TINY)
    (tmp_path / "pyproject.toml").write_text('[tool.parity]\npairs = ["tiny.py"]')
    return tmp_path


def one_line(said: str) -> str:
    assert re.fullmatch(r"parity: [^\n]+\n", said), said
    return said


@pytest.mark.parametrize("recorded", FRAMEWORKS)
def test_one_framework_checks_a_golden_where_the_other_is_not_installed(
    folder: Path, goldens: dict[Framework, Path], recorded: Framework
) -> None:
    arguments = ["check", str(folder / "tiny.py"), "--against", str(goldens[recorded]), "--json", str(folder / "x")]
    done = python(RUN.format(arguments=arguments), PACKAGES[recorded], [])
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    heading = rf"tiny  3 steps, seed 0, cpu; {NAMES[OTHER[recorded]]} against {recorded} \S+ as recorded in "
    assert re.fullmatch(heading + re.escape(str(goldens[recorded])), lines[0])
    rows = [line.split() for line in lines if line.split() and line.split()[0] in STAGES]
    assert [(row[0], row[-1]) for row in rows] == [(stage, "agree") for stage in STAGES]
    assert lines[-1].startswith("AGREE: the same as recorded: tiny (1 of 1 pair, ")
    found = json.loads((folder / "x").read_text())
    Draft202012Validator(SCHEMA).validate(found)
    against = found["pairs"][0]["against"]
    assert (against["recorded"], against["running"], against["steps"]) == (recorded, OTHER[recorded], [0, 1, 2])
    assert len(found["pairs"][0]["provenances"]) == 4


@pytest.mark.parametrize("missing", FRAMEWORKS)
def test_without_a_golden_the_missing_framework_is_told(
    folder: Path, goldens: dict[Framework, Path], missing: Framework
) -> None:
    other = goldens[OTHER[missing]]
    for arguments in (["tiny", "--against", str(other)], ["record", "tiny", "--side", missing, "-o", "x.parity"]):
        code = f"import os\nos.chdir({str(folder)!r})\n" + RUN.format(arguments=arguments)
        done = python(code, {missing}, [])
        assert (done.returncode, done.stdout) == (2, "")
        assert f"the {missing} side needs {missing}, which is not installed" in one_line(done.stderr)
    assert not (folder / "x.parity").exists()


def test_a_mistake_differs_and_the_first_place_is_told(
    folder: Path, goldens: dict[Framework, Path], capsys: Said
) -> None:
    wrong = TINY.replace('f"{jax}:optimizer"', "lambda: __import__('optax').adam(0.0303)")
    (folder / "tiny.py").write_text(wrong)
    assert main(["tiny", "--against", str(goldens["torch"])]) == 1
    out = capsys.readouterr().out
    assert re.search(r"first difference: update, step 0, tensor \S+, float64: difference 0\.0\d+", out)


def test_another_version_of_one_framework_is_told_as_such(
    folder: Path, goldens: dict[Framework, Path], capsys: Said
) -> None:
    for columns in ("80", "100"):
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("COLUMNS", columns)
            assert main(["--against", str(goldens["torch"]), "--side", "torch", "--json", "x"]) == 0
        lines = capsys.readouterr().out.splitlines()
        assert "torch against torch" in lines[0]
        assert [word for word in " ".join(lines[1:3]).split() if word in ("recorded", "running", "JAX")] == [
            "recorded", "running",
        ]  # fmt: skip
        assert "\N{HORIZONTAL ELLIPSIS}" not in "".join(lines)
        assert any(re.match(r"right answers on held out: recorded \d+/32, running \d+/32", line) for line in lines)
        assert lines[-1].startswith("AGREE: the same as recorded: tiny (1 of 1 pair, ")
        found = json.loads((folder / "x").read_text())
        Draft202012Validator(SCHEMA).validate(found)
        assert found["pairs"][0]["against"]["names"] == {"torch": "recorded", "jax": "running"}


# Files of no use


def flipped(file: Path) -> None:
    content = bytearray(file.read_bytes())
    content[-100] ^= 16
    file.write_bytes(content)


def truncated(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-1000])


def of_another_version(file: Path) -> None:
    with safe_open(file, framework="numpy") as opened:
        header = json.loads(opened.metadata()[METADATA]) | {"schema_version": SCHEMA_VERSION + 1}
    file.write_bytes(save(load_file(file), metadata={METADATA: json.dumps(header)}))


def foreign(file: Path) -> None:
    file.write_bytes(save(load_file(file)))


@pytest.mark.parametrize(
    ("change", "arguments", "words"),
    [
        (flipped, [], "altered since it was written: expected SHA-256 "),
        (truncated, [], "expected a whole safetensors file, found one that is truncated, altered or of another kind"),
        (of_another_version, [], "expected schema version 2, found 3: write it again with parity record"),
        (foreign, [], "expected a file that parity record wrote, found other tensors"),
        (Path.unlink, [], "no such file: expected one that parity record wrote"),
        (Path.exists, ["--seed", "1"], "expected a recording of seed 1, found 0: check with --seed 0"),
        (Path.exists, ["--steps", "2"], "expected a recording of steps 2, found 3: check with --steps 3"),
        (Path.exists, ["--device", "gpu"], "expected a recording of device gpu, found cpu: check with --device cpu"),
    ],
)
def test_a_file_of_no_use_is_one_line(
    folder: Path, goldens: dict[Framework, Path], capsys: Said,
    change: Callable[[Path], object], arguments: list[str], words: str,
) -> None:  # fmt: skip
    file = folder / "kept.parity"
    file.write_bytes(goldens["torch"].read_bytes())
    change(file)
    assert main(["check", "tiny", "--against", "kept.parity", *arguments]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert one_line(err).startswith("parity: tiny: kept.parity: ")
    assert words in err


def test_a_recording_of_another_pair_is_one_line(folder: Path, goldens: dict[Framework, Path], capsys: Said) -> None:
    (folder / "tiny.py").write_text(TINY.replace('name="tiny"', 'name="other"'))
    assert main(["--against", str(goldens["torch"])]) == 2
    assert "expected a recording of pair other, found tiny: check that pair" in one_line(capsys.readouterr().err)
    (folder / "tiny.py").write_text(TINY.replace('f"{torch}:optimizer"', '"elsewhere:optimizer"'))
    assert main(["--against", str(goldens["torch"])]) == 2
    assert "the pair's torch side is declared anew, or record again" in one_line(capsys.readouterr().err)


# Usage


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--side", "jax"], "--side says which side runs beside a recording: give --against FILE as well"),
        (["--steps", "4"], "--steps 4: pair tiny has 3 steps, and no more"),
        (["--steps", "0"], "Invalid value for '--steps'"),
        (["--seeds", "8", "--against", "x"], "--against says nothing to --seeds"),
        (["--seeds", "8", "--steps", "2"], "--steps says nothing to --seeds"),
        (["--against", "x", "tiny.py", "other.py"], "a recording is of one pair, and not of tiny, other: name one"),
        (["record", "tiny", "-o", "x"], "Missing option '--side'"),
        (["record", "tiny", "--side", "jax"], "Missing option '--output'"),
        (["record", "--side", "jax", "-o", "x"], "Missing argument 'PAIR'"),
        (["record", "tiny", "--side", "flax", "-o", "x"], "Invalid value for '--side'"),
        (["record", "tiny", "--side", "jax", "-o", "no/where"], "-o no/where: cannot be written: No such file"),
        (["record", "nobody", "--side", "jax", "-o", "x"], "no pair is called 'nobody'"),
    ],
)
def test_bad_usage_is_one_line(folder: Path, capsys: Said, arguments: list[str], words: str) -> None:
    (folder / "other.py").write_text(TINY.replace('name="tiny"', 'name="other"'))
    assert main(arguments) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert words in one_line(err)
    assert not (folder / "x").exists()


def test_fewer_steps_are_taken_where_asked(folder: Path, capsys: Said) -> None:
    assert main(["record", "tiny.py", "--side", "jax", "-o", "x.parity", "--steps", "1", "--seed", "2"]) == 0
    assert "recorded in x.parity (1 steps, seed 2, cpu, " in capsys.readouterr().out
    assert main(["check", "--against", "x.parity", "--steps", "1", "--seed", "2"]) == 0
    assert capsys.readouterr().out.startswith("tiny  1 steps, seed 2, cpu; torch against jax ")


def test_what_was_there_stays_where_recording_fails(folder: Path, capsys: Said) -> None:
    (folder / "x.parity").write_bytes(b"before")
    (folder / "tiny.py").write_text(TINY.replace('f"{jax}:optimizer"', "lambda: 1 / 0"))
    assert main(["record", "tiny", "--side", "jax", "-o", "x.parity"]) == 2
    assert "tiny: the jax side's optimizer failed: ZeroDivisionError" in one_line(capsys.readouterr().err)
    assert (folder / "x.parity").read_bytes() == b"before"
    assert sorted(file.name for file in folder.iterdir() if file.suffix != ".py" and file.is_file()) == [
        "pyproject.toml", "x.parity",
    ]  # fmt: skip


def test_the_help_tells_of_every_command_and_option(capsys: Said) -> None:
    assert main(["--help"]) == 0
    out = capsys.readouterr().out
    for word in ("check", "record", "--against", "--side", "--output", "--json", "--traceback", "Exit status"):
        assert word in out
    assert main(["record", "--help"]) == 0
    assert "--json" not in capsys.readouterr().out
