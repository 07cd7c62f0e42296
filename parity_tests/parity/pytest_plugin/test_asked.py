"""How a failed check is run again: the command line that checks the same, and where to call it."""

from __future__ import annotations

import shlex
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import parity.judging.check  # noqa: F401 -- so that it is there to be replaced
from parity.command.app import main
from parity.command.pairs import Chosen, chosen_pairs
from parity.command.settings import Settings
from parity.pair.pair import Pair
from parity.pytest_plugin.asked import Asked
from parity.verdict import Verdict
from parity_tests.parity.made_verdicts import agreeing, pair

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
        (asked(), "parity check 'pairs/my port.py' --seed 0 --device cpu"),
        (asked("package.pairs:port", seed=3), "parity check package.pairs:port --seed 3 --device cpu"),
        (asked("p:a", device="gpu"), "parity check p:a --seed 0 --device gpu"),
        (asked("p:a", loops=("compiled", "scan")), "parity check p:a --seed 0 --device cpu --loops compiled,scan"),
        (asked("p:a", loops=None), "parity check p:a --seed 0 --device cpu --loops all"),
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
    assert str(asked("p:a", started_in=tmp_path)) == "cd /project && parity check p:a --seed 0 --device cpu"


@pytest.mark.parametrize("loops", [("stepped", "many_seeds"), None, ("stepped", "whole_run")], ids=str)
def test_the_command_checks_the_same(monkeypatch: pytest.MonkeyPatch, loops: tuple[str, ...] | None) -> None:
    project = Path(__file__).parents[3]
    (chosen,) = chosen_pairs(["mlp"], project)
    made = replace(asked(seed=3, device="gpu", loops=loops), chosen=chosen)
    heard: list[dict[str, Any]] = []

    def check(pair: Pair, **conditions: Any) -> Verdict:
        heard.append({"pair": pair.name} | conditions)
        return agreeing(pair.name)

    monkeypatch.setattr(sys.modules["parity.judging.check"], "check", check)
    monkeypatch.chdir(made.folder)
    assert made.command[0] == "parity"
    assert main(made.command[1:]) == 0
    assert (heard[0]["pair"], heard[0]["seed"], heard[0]["device"]) == ("mlp", 3, "gpu")
    driven = heard[0]["loops"]
    assert (driven and tuple(driven)) == loops
