"""A result from its file: read back, and refused where it is none."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest

from benchmarks.reading import read
from parity.errors import NotCheckable
from parity_tests.benchmarks.made_results import result

OLD = result()


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (None, "cannot be read"),
        ("{", "is no JSON"),
        ("[]", "has schema version None, expected 2"),
        ('{"schema_version": 0}', "has schema version 0, expected 2: measure anew"),
        ('{"schema_version": 3}', "has schema version 3, expected 2: compare by the later code that wrote it"),
        ('{"schema_version": "2"}', "has schema version 2, expected 2: measure anew"),
        ('{"schema_version": 2}', "is no result: it has no machine, condition, request, cases"),
        ('{"schema_version": 2, "cases": NaN}', "is no JSON .NaN is no number"),
    ],
)
def test_what_is_no_result_is_told(content: str | None, told: str, tmp_path: Path) -> None:
    file = tmp_path / "result.json"
    if content is not None:
        file.write_text(content)
    with pytest.raises(NotCheckable, match=f"result.json: {told}"):
        read(file)


@pytest.mark.parametrize("value", ["NaN", "Infinity", "1e999", "0", "-1.5", "true", '"1"', "null", "9" * 400])
def test_a_time_that_is_none_is_refused(value: str, tmp_path: Path) -> None:
    file = tmp_path / "result.json"
    written = copy.deepcopy(OLD)
    next(one for one in written["cases"][0]["variants"] if one["step_us"])["step_us"]["median"] = "HERE"
    file.write_text(json.dumps(written).replace('"HERE"', value))
    with pytest.raises(NotCheckable, match=r"result\.json: is no (JSON|result: cases\[0\].*step_us\.median is )"):
        read(file)


@pytest.mark.parametrize(
    ("entry", "value", "told"),
    [
        ("cases", {}, "cases is {}, expected a list"),
        ("machine", [], r"machine is \[\], expected an object"),
        ("request", {}, "request has no quick, device"),
        ("cases", [{"case": {}}], r"cases\[0\] has no noise, variants, pairs"),
    ],
)
def test_a_result_of_another_shape_is_refused(entry: str, value: Any, told: str, tmp_path: Path) -> None:
    file = tmp_path / "result.json"
    file.write_text(json.dumps(OLD | {entry: value}))
    with pytest.raises(NotCheckable, match=f"is no result: {told}"):
        read(file)


def test_what_is_right_has_a_time_and_what_is_not_has_none(tmp_path: Path) -> None:
    file = tmp_path / "result.json"
    written = copy.deepcopy(OLD)
    written["cases"][0]["variants"][0]["step_us"] = None
    file.write_text(json.dumps(written))
    with pytest.raises(NotCheckable, match="mnist-float32-cpu: torch notebook is right and has no time"):
        read(file)


def test_a_result_is_read_back(tmp_path: Path) -> None:
    file = tmp_path / "result.json"
    file.write_text(json.dumps(OLD))
    assert read(file) == OLD
