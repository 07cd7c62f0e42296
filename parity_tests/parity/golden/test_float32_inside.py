"""A side with layers that compute in float32, checked against a recording of the other one."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import pytest

from parity.golden.check import check_against, write_golden
from parity.pair.pair import Pair
from parity.recording import FRAMEWORKS, Framework, Key
from parity.verdict import Verdict
from parity_tests.parity.casting import NetTwin, pair

pytestmark = pytest.mark.usefixtures("compiled_once")


def declared(**sides: dict[str, Any]) -> Pair:
    return pair(sides.get("torch"), sides.get("jax"), float32_inside=("norm",))


@cache
def golden(framework: Framework, folder: Path) -> Path:
    file = folder / f"{framework}.parity"
    write_golden(declared(), framework, file)
    return file


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("goldens")


@pytest.mark.parametrize("recorded", FRAMEWORKS)
def test_it_is_green_against_either_side_where_that_is_declared(recorded: Framework, folder: Path) -> None:
    verdict = check_against(declared(), golden(recorded, folder))
    assert verdict.outcome == "agree", verdict.first_difference or [stage.reason for stage in verdict.stages]
    assert verdict.listed[0].startswith("float64: judged by float32's rule, since the pair declares it: norm")


def first(verdict: Verdict) -> Key:
    assert verdict.first_difference is not None, [stage.reason for stage in verdict.stages]
    return verdict.first_difference.comparison.key


def with_epsilon(rngs: Any) -> NetTwin:
    model = NetTwin(rngs)
    model.norm.epsilon = 1e-6
    return model


def test_a_mistake_in_such_a_layer_is_caught_against_a_recording(folder: Path) -> None:
    wrong = declared(jax={"model": with_epsilon})
    assert first(check_against(wrong, golden("torch", folder))) == Key("forward", 0, "norm.output")


@pytest.mark.parametrize("recorded", FRAMEWORKS)
def test_undeclared_it_is_red_and_the_side_that_runs_is_named(recorded: Framework, folder: Path) -> None:
    verdict = check_against(pair(), golden(recorded, folder))
    running = "jax" if recorded == "torch" else "torch"
    assert (verdict.outcome, first(verdict)) == ("differ", Key("forward", 0, "norm.output"))
    assert verdict.first_difference is not None
    assert (
        f"in layer norm something is computed in float32 on the {running} side" in verdict.first_difference.looks_like
    )
