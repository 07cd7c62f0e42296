"""The noise of a case is its own, or in a sweep that of the notebook's size; what else throws doubt on figures."""

from __future__ import annotations

from typing import Any

import pytest

from benchmarks.noise import brackets, is_swept, noise_at, other_work


def entry(noise: float | None, **changed: Any) -> dict[str, Any]:
    usual = {
        "problem": "mnist", "precision": "float32", "device": "cpu", "seeds": 1, "width": 100, "batch_size": 1000
    }  # fmt: skip
    return {"case": usual | changed, "noise": noise}


@pytest.mark.parametrize(("changed", "swept"), [({}, False), ({"width": 50}, True), ({"batch_size": 10}, True)])
def test_another_size_than_the_notebooks_is_swept(changed: dict[str, int], swept: bool) -> None:
    assert is_swept(entry(None, **changed)["case"]) == swept


def test_a_case_has_its_own_noise() -> None:
    document = {"cases": [entry(1.1), entry(1.5, width=50)]}
    assert noise_at(document, document["cases"][0]) == 1.1
    assert noise_at(document, document["cases"][1]) == 1.5


@pytest.mark.parametrize(
    "other", [{"precision": "tf32"}, {"problem": "mlp"}, {"seeds": 4}, {"device": "gpu"}, {"width": 25}]
)
def test_a_sweep_has_that_of_the_notebooks_size_and_of_nothing_else(other: dict[str, Any]) -> None:
    swept = entry(None, width=50)
    assert noise_at({"cases": [entry(1.3, **other), swept]}, swept) is None
    assert noise_at({"cases": [entry(1.3, **other), entry(1.2), swept]}, swept) == 1.2


@pytest.mark.parametrize(
    ("rounds", "told"), [(2, "smallest to largest"), (4, "smallest to largest"), (5, "the 95 % interval")]
)
def test_five_rounds_bear_an_interval(rounds: int, told: str) -> None:
    assert brackets({"rounds": rounds}) == told


@pytest.mark.parametrize(
    ("load", "cores", "told"), [(1.0, 2, False), (1.1, 2, True), (7.9, 16, False), (8.1, 16, True)]
)
def test_other_work_is_what_wants_more_than_half_the_cores(load: float, cores: int, told: bool) -> None:
    document = {"condition": {"before": {"load": load}}, "machine": {"cores": cores}, "cases": []}
    assert bool(other_work(document)) == told


@pytest.mark.parametrize(("share", "told"), [(0.25, False), (0.26, True), (None, False), ("most", False)])
def test_other_work_that_came_later_is_told_with_its_case(share: Any, told: bool) -> None:
    cases = [entry(None) | {"others": 0.1}, entry(None), entry(None) | {"others": share}]
    for place, one in enumerate(cases):
        one["case"]["name"] = f"case {place}"
    document = {"condition": {"before": {"load": 0.1}}, "machine": {"cores": 2}, "cases": cases}
    assert bool(other_work(document)) == told
    assert other_work(document).startswith(
        "other work was running: 26% of the cores' time while case 2 was" if told else ""
    )
