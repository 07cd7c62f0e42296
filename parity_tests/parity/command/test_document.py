"""The JSON document: as its schema says, every figure where it belongs, strict JSON, whole or not at all."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from jsonschema import Draft202012Validator, ValidationError  # type: ignore[import-untyped]

from parity.command.document import (
    SCHEMA_VERSION,
    destination,
    float64_figures,
    pair_entry,
    plain,
    seeds_entry,
    tensors,
    text,
)
from parity.errors import NotCheckable
from parity.judging.seeds import check_seeds
from parity.recording import STAGES
from parity.verdict import Verdict
from parity_tests.parity import made_seeds
from parity_tests.parity.made_verdicts import (
    agreeing,
    comparisons,
    differing,
    float32,
    float64,
    inconclusive,
    pair,
    with_bfloat16,
)

SCHEMA = json.loads((Path(__file__).parents[3] / "docs" / "parity.schema.json").read_text(encoding="utf-8"))
VERDICTS = {"agree": agreeing(), "differ": differing(), "inconclusive": inconclusive()}
BFLOAT16 = with_bfloat16()


def document(*verdicts: Verdict, **others: Any) -> dict[str, Any]:
    """A document as the command writes it, read back."""
    entries = [pair_entry(pair(), Path("pairs/made.py"), verdict) for verdict in verdicts]
    written = {
        "schema_version": SCHEMA_VERSION, "parity_version": "0.1.0", "command": ["parity", "--json", "x.json"],
        "begun_at": "2026-01-02T03:04:05+00:00", "seconds": 1.5, "exit_status": 0, "outcome": "agree",
        "pairs": entries, "seeds": [], "not_checked": [],
    }  # fmt: skip
    found: dict[str, Any] = json.loads(text(written | others), parse_constant=pytest.fail)
    return found


def validate(found: dict[str, Any]) -> None:
    Draft202012Validator(SCHEMA).validate(found)


def test_the_schema_is_a_schema() -> None:
    Draft202012Validator.check_schema(SCHEMA)
    assert SCHEMA["properties"]["schema_version"]["const"] == SCHEMA_VERSION


@pytest.mark.parametrize("outcome", VERDICTS)
def test_a_verdict_is_written_as_the_schema_says(outcome: str) -> None:
    found = document(VERDICTS[outcome], not_checked=[{"pair": "b", "file": "b.py", "reason": "no data"}])
    validate(found)
    assert found["pairs"][0]["outcome"] == outcome


def test_bfloat16_is_written_where_it_was_asked_for() -> None:
    found = document(BFLOAT16)
    validate(found)
    forward = found["pairs"][0]["stages"][2]
    assert forward["bfloat16"]["jax"]["limit"] == 0.0625
    assert forward["power"]["bfloat16"] == 16.0
    assert all("bfloat16" not in stage for stage in document(VERDICTS["agree"])["pairs"][0]["stages"])


def test_a_comparison_over_seeds_is_written_as_the_schema_says() -> None:
    for scores in (made_seeds.EQUAL, made_seeds.WITH_NAN):
        verdict = check_seeds(made_seeds.pair(*scores, published={"seen": 0.978}), 64)
        found = document(seeds=[seeds_entry(Path("made.py"), verdict)])
        validate(found)
        assert len(found["seeds"][0]["scores"][0]["torch"]["accuracies"]) == 64
        assert found["seeds"][0]["seeds"]["jax"][0] == 64


def without(found: dict[str, Any], *path: str | int) -> None:
    for step in path[:-1]:
        found = found[step]  # type: ignore[index]
    del found[path[-1]]  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "path",
    [
        ("schema_version",),
        ("pairs", 0, "first_difference"),
        ("pairs", 0, "stages", 2, "power"),
        ("pairs", 0, "stages", 4, "float64", "step"),
        ("pairs", 0, "float64_figures", "by_loop", 0, "loop"),
        ("pairs", 0, "tensors", 0, "worst_step"),
        ("pairs", 0, "provenances", 0, "precision"),
    ],
)
def test_the_schema_misses_what_is_not_there(path: tuple[str | int, ...]) -> None:
    found = document(VERDICTS["differ"])
    without(found, *path)
    with pytest.raises(ValidationError):
        validate(found)


@pytest.mark.parametrize(
    "path",
    [
        (),
        ("pairs", 0),
        ("pairs", 0, "settings"),
        ("pairs", 0, "stages", 2),
        ("pairs", 0, "stages", 2, "float64"),
        ("pairs", 0, "first_difference"),
        ("pairs", 0, "float64_figures", "largest"),
        ("pairs", 0, "float64_figures", "by_loop", 0),
        ("pairs", 0, "tensors", 0),
        ("pairs", 0, "scores", 0, "right"),
        ("pairs", 0, "provenances", 0),
    ],
)
def test_the_schema_refuses_what_it_does_not_name(path: tuple[str | int, ...]) -> None:
    found = document(VERDICTS["differ"])
    entry: Any = found
    for step in path:
        entry = entry[step]
    entry["unheard_of"] = 1
    with pytest.raises(ValidationError):
        validate(found)


def test_a_pair_is_written_with_all_of_its_figures() -> None:
    (found,) = document(replace(VERDICTS["differ"], unseen=["whether it clips"]))["pairs"]
    assert (found["pair"], found["file"]) == ("made", "pairs/made.py")
    assert found["settings"] == {"seed": 7, "steps": 3, "device": "cpu"}
    assert [stage["stage"] for stage in found["stages"]] == list(STAGES)
    forward = found["stages"][2]
    assert forward["power"] == {"float64": 4e11, "float32": 2.1e3}
    assert forward["kinds"] == {"float64": {"sign": 8e11, "zero": 4e11}, "float32": {"zero": 2.1e3}}
    assert forward["float32"]["jax"]["difference"] == 3e-7
    assert found["stages"][0]["power"] == {"float64": None, "float32": None}
    first = found["first_difference"]
    assert (first["stage"], first["step"], first["tensor"]) == ("backward", 0, "weight")
    assert (first["difference"], first["looks_like"]) == (1.0, "jax is twice as large")
    (score,) = found["scores"]
    assert score["right"] == {side: {"float64": 970, "float32": 970} for side in ("torch", "jax")}
    assert (score["scored_on"], score["published"], score["total"]) == ("the images that were seen", 0.9, 1000)
    assert len(found["listed"]) == 5
    assert found["unseen"] == ["whether it clips"]
    assert found["loops"]["torch"] == {"stepped": "", "whole_run": "needs CUDA"}
    assert {(p["framework"], p["dtype"]) for p in found["provenances"]} == {
        (side, dtype) for side in ("torch", "jax") for dtype in ("float64", "float32")
    }


def test_tensors_are_told_by_their_worst_step() -> None:
    entries = [entry for entry in tensors(comparisons()) if entry["stage"] == "trajectory"]
    found = {(t["tensor"], t["dtype"], t["side"], t["loop"]): t for t in entries}
    loss = found["loss", "float64", None, None]
    assert (loss["worst_step"], loss["difference"], loss["compared"], loss["differing"]) == (1, 5e-16, 3, 0)
    assert found["weight", "float32", "jax", None]["worst_step"] == 2
    assert found["loss", "float64", None, "torch stepped"]["compared"] == 3
    assert sum(entry["compared"] for entry in tensors(comparisons())) == len(comparisons())


def test_a_step_that_differs_is_worse_than_one_that_is_further_from_a_wider_limit() -> None:
    wide = float32("torch", "backward", "weight", 0, difference=9e-5, limit=1e-4)
    over = float32("torch", "backward", "weight", 1, difference=2e-5, limit=1e-5)
    (found,) = tensors([wide, over, replace(wide, key=wide.key._replace(step=2), power=1.5)])
    assert (found["worst_step"], found["outcome"], found["differing"], found["power"]) == (1, "differ", 1, 1.5)


def test_what_cannot_be_compared_is_the_worst() -> None:
    lost = float64("forward", "output", 1, difference=float("inf"))
    (found,) = tensors([float64("forward", "output", 0, difference=0.5), lost])
    assert (found["worst_step"], found["differing"]) == (1, 2)


def test_float64_figures_are_the_largest_of_each_group_and_loop() -> None:
    found = float64_figures(comparisons())
    engine, loop = found["by_loop"]
    assert engine == {
        "loop": None, "losses": 5e-16, "gradients": 1e-15, "parameters": 3 * 5e-16, "optimizer_state": 2e-15
    }  # fmt: skip
    assert loop == {
        "loop": "torch stepped", "losses": 7e-16, "gradients": None, "parameters": 9e-16, "optimizer_state": None
    }  # fmt: skip
    assert found["largest"] == {
        "losses": 7e-16, "gradients": 1e-15, "parameters": 3 * 5e-16, "optimizer_state": 2e-15
    }  # fmt: skip
    planted = [*comparisons(), float64("trajectory", "exp_avg.weight", 2, difference=3.0)]
    assert float64_figures(planted)["largest"]["optimizer_state"] == 3.0
    assert float64_figures([])["largest"] == dict.fromkeys(found["largest"])


def test_what_json_lacks_is_told_by_its_name() -> None:
    values = [float("inf"), -float("inf"), float("nan"), np.float64("nan"), np.float32(0.5), np.int64(3), True, None]
    assert plain({"a": values}) == {"a": ["inf", "-inf", "nan", "nan", 0.5, 3, True, None]}
    lost = replace(differing(), comparisons=[float64("forward", "output", difference=float("nan"))])
    found = document(lost)
    validate(found)
    assert found["pairs"][0]["stages"][5]["float64"]["difference"] == "inf"
    assert found["pairs"][0]["tensors"][0]["difference"] == "nan"


# Whole or not at all


def test_the_document_takes_the_place_of_what_was_there(tmp_path: Path) -> None:
    file = tmp_path / "found.json"
    file.write_text("before")
    with destination(file) as write:
        assert file.read_text() == "before"
        write({"a": 1})
    assert json.loads(file.read_text()) == {"a": 1}
    assert os.listdir(tmp_path) == ["found.json"]
    assert file.stat().st_mode & 0o777 == 0o666 & ~_umask()


def _umask() -> int:
    before = os.umask(0)
    os.umask(before)
    return before


def test_what_was_there_stays_where_the_work_fails(tmp_path: Path) -> None:
    file = tmp_path / "found.json"
    file.write_text("before")
    with pytest.raises(ZeroDivisionError), destination(file):
        raise ZeroDivisionError
    with pytest.raises(TypeError), destination(file) as write:
        write({"not JSON": object()})
    assert (os.listdir(tmp_path), file.read_text()) == (["found.json"], "before")


def test_a_link_leads_to_the_file_that_is_written(tmp_path: Path) -> None:
    (tmp_path / "link.json").symlink_to(tmp_path / "found.json")
    with destination(tmp_path / "link.json") as write:
        write({})
    assert (tmp_path / "link.json").is_symlink()
    assert (tmp_path / "found.json").read_text() == "{}\n"


def test_a_path_that_cannot_be_written_fails_before_the_work(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for file, message in {
        tmp_path / "missing" / "x.json": "cannot be written: No such file or directory",
        tmp_path / "file" / "x.json": "cannot be written: Not a directory",
        tmp_path: "is not a regular file",
        Path(os.devnull): "is not a regular file",
    }.items():
        with pytest.raises(NotCheckable, match=message), destination(file):
            pytest.fail("the work began")
    assert os.listdir(tmp_path) == ["file"]
