"""The headline says what the results say, and the results that are kept are as the schema says."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator  # type: ignore[import-untyped]

from benchmarks.document import SCHEMA
from benchmarks.figures import with_interval
from benchmarks.headline import RESULTS, headline
from benchmarks.reading import read
from parity_tests.benchmarks.made import MACHINE
from parity_tests.benchmarks.made_results import result

VERSIONS = {"torch": "2.14", "jax": "0.10", "flax": "0.12"}


def kept(folder: Path, name: str, versions: Mapping[str, str] = VERSIONS) -> None:
    (folder / name).mkdir()
    document = result() | {"machine": MACHINE | {"versions": dict(versions)}}
    (folder / name / "result.json").write_text(json.dumps(document))


def test_what_people_write_stands_beside_the_fastest_of_each_side(tmp_path: Path) -> None:
    kept(tmp_path, "cpu")
    lines = headline(tmp_path).splitlines()
    rows = [line for line in lines if line.startswith("| float32")]
    assert [row.split("|")[2].strip() for row in rows] == [
        "torch `notebook`", "torch `compiled`", "jax `nnx_jit`", "jax `whole_run`",
    ]  # fmt: skip
    notebook = result()["cases"][0]["variants"][0]
    assert f"| {with_interval(notebook['step_us'])} | 1.00 |" in rows[0]
    assert lines[-1] == (
        "`benchmarks/results/cpu`, 2026-01-02: 2 cores of a processor; torch 2.14, jax 0.10, flax 0.12; 3 rounds, "
        "in brackets smallest to largest."
    )


def test_every_result_has_its_table(tmp_path: Path) -> None:
    for name in ("gpu", "cpu"):
        kept(tmp_path, name)
    told = headline(tmp_path)
    assert told.index("results/cpu`") < told.index("results/gpu`")
    assert headline(tmp_path / "cpu") == ""


def test_the_results_that_are_kept_are_as_the_schema_says() -> None:
    validator = Draft202012Validator(json.loads(SCHEMA.read_text(encoding="utf-8")))
    for file in RESULTS.rglob("result.json"):
        validator.validate(json.loads(file.read_text(encoding="utf-8")))
    assert headline().count("| MNIST |") == len(list(RESULTS.glob("*/result.json")))


def beyond_noise(document: dict[str, Any]) -> dict[tuple[str, str, str], bool]:
    """Of every matched pair of which the result tells a difference: whether the second is the faster one."""
    return {
        (entry["case"]["name"], pair["first"], pair["second"]): pair["ratio"]["median"] > 1
        for entry in document["cases"] for pair in entry["pairs"] if pair["differs"]
    }  # fmt: skip


def test_run_twice_no_matched_pair_changes_sides_beyond_the_noise() -> None:
    twice = list(RESULTS.glob("*/again/result.json"))
    assert twice
    for file in twice:
        first, again = beyond_noise(read(file.parent.parent / "result.json")), beyond_noise(read(file))
        both = first.keys() & again.keys()
        assert len(both) >= 10
        assert {pair: first[pair] for pair in both} == {pair: again[pair] for pair in both}


def test_a_result_of_one_framework_alone_has_a_headline(tmp_path: Path) -> None:
    kept(tmp_path, "cpu", {"torch": "2.14"})
    assert "a processor; torch 2.14; 3 rounds" in headline(tmp_path).splitlines()[-1]
