"""What slowed down a whole case, or one framework beside the other, is heard, and no row alone would say so."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from benchmarks.compare import WORSE, compare
from benchmarks.drift import TOGETHER
from parity_tests.benchmarks.test_compare import OLD, USUAL, all_said, drifted, slow_down


def test_what_slowed_all_of_a_case_down_by_more_than_any_drift_is_slower() -> None:
    """Three times: that is the machine or all that is timed on it, and no row alone says so."""
    found = compare(OLD, drifted(3.0)).changes
    (slower,) = [one for one in found if one.says in WORSE]
    assert (slower.case, slower.variant) == (USUAL, "all of it")
    assert slower.ratio == pytest.approx(3.0)
    assert all_said(drifted(1 / 3.0)) == all_said(drifted(TOGETHER - 0.01)) == {"same"}
    assert "slower" in all_said(drifted(TOGETHER + 0.01))
    # Another machine may be as slow as it likes.
    assert not any(one.says in WORSE for one in compare(OLD, drifted(3.0), other_machine=True).changes)


def beside(factor: float, framework: str, machine: float = 1.0) -> dict[str, Any]:
    """A later result of a machine `machine` times as slow, in which all of a framework takes `factor` times as long."""
    new = copy.deepcopy(OLD)
    for entry in new["cases"]:
        for found in entry["variants"]:
            slow_down(found, machine * (factor if found["framework"] == framework else 1.0))
        for pair in entry["pairs"]:
            sides = [pair[name].split()[0] for name in ("first", "second")]
            by = factor ** (sides.count(framework) % 2 * (1 if sides[0] == framework else -1))
            pair["ratio"] = {part: value * by for part, value in pair["ratio"].items()}
    return new


@pytest.mark.parametrize("framework", ["torch", "jax"])
@pytest.mark.parametrize("machine", [0.8, 1.2])
def test_a_framework_that_slowed_down_as_a_whole_is_slower_whatever_the_machine_did(
    framework: str, machine: float
) -> None:
    for factor in (3.0, 10.0, 1.6):
        found = compare(OLD, beside(factor, framework, machine)).changes
        told = [one for one in found if one.variant == f"all of {framework}"]
        assert {one.says for one in told} == {"slower"}
        assert {one.case for one in told} >= {USUAL}
        assert [one.beside for one in told] == [pytest.approx(factor)] * len(told)
        assert not any(one.variant.startswith("all of ") and one.says != "slower" for one in found)
    within = {one.variant for one in compare(OLD, beside(1.4, framework, machine)).changes}
    assert not within & {"all of torch", "all of jax"}


def test_a_framework_that_became_faster_makes_the_other_no_slower() -> None:
    found = compare(OLD, beside(1 / 3, "jax")).changes
    assert {one.says for one in found if one.variant == "all of jax"} == {"faster"}
    assert not any(one.variant == "all of torch" for one in found)


def test_pairs_whose_intervals_touch_have_not_moved() -> None:
    new = beside(3.0, "torch")
    for entry in new["cases"]:
        for pair in entry["pairs"]:
            pair["ratio"]["low"] = 1e-3
    assert not any(one.variant == "all of torch" for one in compare(OLD, new).changes)


def test_of_two_pairs_the_one_that_moved_less_counts_and_without_any_the_notebooks_loop() -> None:
    old, new = copy.deepcopy(OLD), beside(3.0, "torch")
    for document in (old, new):
        for entry in document["cases"]:
            entry["pairs"] = [
                pair for pair in entry["pairs"] if pair["second"] != pair["first"].replace("torch", "jax")
            ]
            entry["pairs"] = [pair for pair in entry["pairs"] if pair["first"].startswith("torch")][:2]
    assert any(one.variant == "all of torch" for one in compare(old, new).changes)
    new["cases"][0]["pairs"][0] = old["cases"][0]["pairs"][0]
    assert not any((one.case, one.variant) == (USUAL, "all of torch") for one in compare(old, new).changes)
    for document in (old, new):
        document["cases"][0]["pairs"] = []
    for found in new["cases"][0]["variants"]:
        if found["times_notebook"] and found["framework"] == "jax":
            found["times_notebook"] = {part: 3 * value for part, value in found["times_notebook"].items()}
    (told,) = [one for one in compare(old, new).changes if (one.case, one.variant) == (USUAL, "all of torch")]
    assert told.beside == pytest.approx(3.0)
