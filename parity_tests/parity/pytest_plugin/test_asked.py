"""How a failed check is run again: the command line that checks the same, and where to call it."""

from __future__ import annotations

import shlex
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from parity.command.pairs import Chosen, chosen_pairs
from parity.command.session import loop_names
from parity.command.settings import Settings
from parity.pytest_plugin.asked import Asked
from parity_tests.parity.made_verdicts import pair

ROOT = Path("/project")
USUAL: dict[str, Any] = {
    "seed": 0, "device": "cpu", "loops": ("stepped", "whole_run"), "dtypes": ("float64", "float32")
}  # fmt: skip
TEST = "tests/test_port.py::test_port"


def asked(path: str = "", as_object: bool = False, started_in: Path = ROOT, **conditions: Any) -> Asked:
    chosen = Chosen(ROOT / "pairs" / "my port.py", pair(), ROOT, path)
    return Asked(TEST, chosen, as_object, USUAL | conditions, Settings(), ROOT, started_in)


@pytest.mark.parametrize(
    ("made", "line"),
    [
        (asked(), "parity 'pairs/my port.py' --seed 0 --device cpu"),
        (asked("package.pairs:port", seed=3), "parity package.pairs:port --seed 3 --device cpu"),
        (asked("p:a", device="gpu"), "parity p:a --seed 0 --device gpu"),
        (asked("p:a", loops=("compiled", "scan")), "parity p:a --seed 0 --device cpu --loops compiled,scan"),
        (asked("p:a", loops=None), "parity p:a --seed 0 --device cpu --loops all"),
    ],
)
def test_a_pair_that_has_a_name_is_checked_by_the_command(made: Asked, line: str) -> None:
    assert str(made) == line == shlex.join(made.command)


@pytest.mark.parametrize(
    "made",
    [asked(as_object=True), asked(loops=()), asked(dtypes=("float64",))],
    ids=["a pair without a name", "no loops", "float64 alone"],
)
def test_what_the_command_cannot_be_told_is_run_by_pytest(made: Asked) -> None:
    assert str(made) == f"pytest {TEST}"


def test_loops_that_the_settings_name_need_not_be_named(tmp_path: Path) -> None:
    configured = Settings(loops=("scan",))
    assert "--loops" not in replace(asked(loops=("scan",)), configured=configured).command
    assert replace(asked(), configured=configured).command[-2:] == ["--loops", "stepped,whole_run"]


def test_started_elsewhere_the_line_says_where(tmp_path: Path) -> None:
    assert str(asked("p:a", started_in=tmp_path)) == "cd /project && parity p:a --seed 0 --device cpu"


def test_the_command_finds_the_pair_by_that_line(tmp_path: Path) -> None:
    file = tmp_path / "pairs" / "a.py"
    file.parent.mkdir()
    file.write_text("from parity_tests.parity import made_verdicts\npair = made_verdicts.pair('a')")
    (chosen,) = chosen_pairs(["pairs/a.py"], tmp_path)
    made = replace(asked(), chosen=chosen)
    (again,) = chosen_pairs([made.command[1]], made.folder)
    assert again.file == chosen.file
    assert loop_names("all", [again]) is None
