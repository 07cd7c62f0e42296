"""Two results of one machine: what became slower, what did not, and what cannot be compared."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest

from benchmarks.compare import compare, read
from parity.errors import NotCheckable
from parity_tests.benchmarks.made_results import result

OLD = result()


def changed(factor: float, name: str = "stepped", framework: str = "jax") -> dict[str, Any]:
    """A later result, in which one variant takes `factor` times as long."""
    new = copy.deepcopy(OLD)
    for found in new["cases"][0]["variants"]:
        if (found["framework"], found["name"], found["twin"]) == (framework, name, False):
            found["step_us"] = {part: value * factor for part, value in found["step_us"].items()}
    return new


def says(new: dict[str, Any], old: dict[str, Any] = OLD, variant: str = "jax stepped") -> str:
    return next(change.says for change in compare(old, new) if change.variant == variant)


def noisy(document: dict[str, Any], noise: float) -> dict[str, Any]:
    found = copy.deepcopy(document)
    for entry in found["cases"]:
        entry["noise"] = noise
    return found


def test_the_same_result_has_not_changed() -> None:
    assert {change.says for change in compare(OLD, OLD)} == {"same"}


@pytest.mark.parametrize(("factor", "expected"), [(2.0, "slower"), (0.5, "faster"), (1.001, "same")])
def test_a_change_is_told_where_the_intervals_part(factor: float, expected: str) -> None:
    found = changed(factor)
    assert says(found) == expected
    assert {change.says for change in compare(OLD, found) if change.variant != "jax stepped"} == {"same"}
    change = next(change for change in compare(OLD, found) if change.variant == "jax stepped")
    assert change.ratio == pytest.approx(factor)


def test_a_change_within_the_noise_of_either_result_is_none() -> None:
    assert says(changed(1.3)) == "slower"
    assert says(noisy(changed(1.3), 1.5)) == "same"
    assert says(changed(1.3), old=noisy(OLD, 1.5)) == "same"


def test_in_a_sweep_the_noise_is_that_of_the_notebooks_size() -> None:
    def said(noise: float) -> str:
        new = copy.deepcopy(OLD)
        new["cases"][0]["noise"] = noise
        swept = next(entry for entry in new["cases"] if entry["case"]["width"] == 200)
        assert swept["noise"] is None
        found = next(one for one in swept["variants"] if (one["framework"], one["name"]) == ("jax", "stepped"))
        found["step_us"] = {part: value * 1.3 for part, value in found["step_us"].items()}
        changes = [change for change in compare(OLD, new) if change.case == swept["case"]["name"]]
        return next(change.says for change in changes if change.variant == "jax stepped")

    assert said(1.0) == "slower"
    assert said(1.5) == "same"


def test_a_variant_that_is_no_longer_right_is_lost_and_one_that_is_now_is_gained() -> None:
    new = copy.deepcopy(OLD)
    next(one for one in new["cases"][0]["variants"] if one["name"] == "nnx_jit")["step_us"] = None
    assert says(new, variant="jax nnx_jit") == "lost"
    assert says(OLD, old=new, variant="jax nnx_jit") == "gained"
    assert not any(change.variant == "torch whole_run" for change in compare(OLD, OLD))


def test_another_machine_is_refused_unless_told_otherwise() -> None:
    other = copy.deepcopy(OLD)
    other["machine"]["processor"] = "another"
    with pytest.raises(NotCheckable, match="of different machines: processor a processor and another; --other-machine"):
        compare(OLD, other)
    assert compare(OLD, other, other_machine=True)
    # Another version of a library is what one may want to compare.
    other = copy.deepcopy(OLD)
    other["machine"]["versions"] = {"torch": "3"}
    assert compare(OLD, other)


def test_results_without_a_case_in_common_are_refused() -> None:
    other = copy.deepcopy(OLD)
    for entry in other["cases"]:
        entry["case"]["name"] += "-w7"
    with pytest.raises(NotCheckable, match="nothing is compared"):
        compare(OLD, other)


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (None, "cannot be read"),
        ("{", "is no JSON"),
        ("[]", "has schema version None, expected 2"),
        ('{"schema_version": 0}', "has schema version 0, expected 2: measure anew"),
    ],
)
def test_what_is_no_result_is_told(content: str | None, told: str, tmp_path: Path) -> None:
    file = tmp_path / "result.json"
    if content is not None:
        file.write_text(content)
    with pytest.raises(NotCheckable, match=told):
        read(file)


def test_a_result_is_read_back(tmp_path: Path) -> None:
    file = tmp_path / "result.json"
    file.write_text(json.dumps(OLD))
    assert read(file) == OLD
