"""Two results of one machine: what became slower, what did not, what is missing, and what cannot be compared."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest

from benchmarks.compare import WORSE, Change, compare
from benchmarks.plan import Request
from parity.errors import NotCheckable
from parity_tests.benchmarks.made import FAILED
from parity_tests.benchmarks.made_results import result

OLD = result()
USUAL = OLD["cases"][0]["case"]["name"]
KEPT = Path(__file__).parents[2] / "benchmarks" / "results" / "cpu-2-cores"


def variant(document: dict[str, Any], name: str = "jax stepped", case: int = 0) -> dict[str, Any]:
    found: list[dict[str, Any]] = document["cases"][case]["variants"]
    return next(one for one in found if f"{one['framework']} {one['name']}" == name and not one["twin"])


def slow_down(found: dict[str, Any], factor: float) -> None:
    if found["step_us"]:
        found["step_us"] = {part: value * factor for part, value in found["step_us"].items()}


def changed(factor: float, name: str = "jax stepped") -> dict[str, Any]:
    """A later result, in which one variant takes `factor` times as long."""
    new = copy.deepcopy(OLD)
    slow_down(variant(new, name), factor)
    return new


def drifted(factor: float, framework: str = "", document: dict[str, Any] = OLD) -> dict[str, Any]:
    """A later result, in which the first case takes `factor` times as long, or what one framework has of it."""
    new = copy.deepcopy(document)
    for found in new["cases"][0]["variants"]:
        if framework in ("", found["framework"]):
            slow_down(found, factor)
    return new


def on_a_gpu(document: dict[str, Any]) -> dict[str, Any]:
    found = copy.deepcopy(document)
    for entry in found["cases"]:
        entry["case"]["device"] = "gpu"
    return found


def verdict(found: str, reason: str = "", name: str = "jax stepped") -> dict[str, Any]:
    """A result in which one variant has this verdict, and so no time."""
    new = copy.deepcopy(OLD)
    variant(new, name).update(verdict=found, reason=reason, step_us=None)
    return new


def change(new: dict[str, Any], old: dict[str, Any] = OLD, name: str = "jax stepped") -> Change:
    """What became of a variant of the first case."""
    return next(one for one in compare(old, new).changes if (one.case, one.variant) == (USUAL, name))


def says(new: dict[str, Any], old: dict[str, Any] = OLD, name: str = "jax stepped") -> str:
    return change(new, old, name).says


def all_said(new: dict[str, Any], old: dict[str, Any] = OLD) -> set[str]:
    return {one.says for one in compare(old, new).changes}


def noisy(document: dict[str, Any], noise: float | None) -> dict[str, Any]:
    found = copy.deepcopy(document)
    for entry in found["cases"]:
        entry["noise"] = noise
    return found


def test_the_same_result_has_not_changed() -> None:
    assert all_said(OLD) == {"same"}
    assert compare(OLD, OLD).notes == []


@pytest.mark.parametrize(("factor", "expected"), [(2.0, "slower"), (0.5, "faster"), (1.001, "same")])
def test_a_change_is_told_where_the_intervals_part(factor: float, expected: str) -> None:
    found = changed(factor)
    assert says(found) == expected
    others = {one.says for one in compare(OLD, found).changes if (one.case, one.variant) != (USUAL, "jax stepped")}
    assert others == {"same"}
    assert change(found).ratio == pytest.approx(factor)


def test_a_change_within_the_noise_of_either_result_is_none() -> None:
    assert says(changed(1.3)) == "slower"
    assert says(noisy(changed(1.3), 1.5)) == "same"
    assert says(changed(1.3), old=noisy(OLD, 1.5)) == "same"


def test_without_noise_nothing_is_slower_and_that_is_told() -> None:
    unknown = noisy(OLD, None)
    assert says(noisy(changed(1.3), None), unknown) == "noise not measured"
    assert says(changed(1.3), unknown) == "slower"
    assert says(noisy(changed(1.3), None)) == "slower"


def test_in_a_sweep_the_noise_is_that_of_the_notebooks_size() -> None:
    def said(noise: float) -> str:
        new = copy.deepcopy(OLD)
        new["cases"][0]["noise"] = noise
        place = next(place for place, entry in enumerate(new["cases"]) if entry["case"]["width"] == 200)
        assert new["cases"][place]["noise"] is None
        slow_down(variant(new, case=place), 1.3)
        changes = [one for one in compare(OLD, new).changes if one.case == new["cases"][place]["case"]["name"]]
        return next(one.says for one in changes if one.variant == "jax stepped")

    assert said(1.0) == "slower"
    assert said(1.5) == "same"


def test_on_a_cpu_what_all_of_a_case_did_is_told_once_and_is_no_variants_doing() -> None:
    new = drifted(1.4)
    assert all_said(new) == {"same"}
    assert f"{USUAL}: all of it takes 1.4 times as long as before; each row is judged beside that" in str(
        compare(OLD, new).notes
    )
    slow_down(variant(new), 1.3)
    assert says(new) == "slower"
    assert change(new).ratio == pytest.approx(1.82)
    assert change(new).beside == pytest.approx(1.3)
    slow_down(variant(new), 1 / 1.82)
    assert says(new) == "faster"


def test_a_drift_within_the_noise_is_not_told() -> None:
    assert compare(OLD, noisy(drifted(1.4), 1.5)).notes == []


def test_on_a_gpu_times_count_as_they_are() -> None:
    found = compare(on_a_gpu(OLD), on_a_gpu(drifted(1.5)))
    assert {one.says for one in found.changes if one.case == USUAL} == {"slower"}
    assert found.notes == []


@pytest.mark.parametrize(("package", "upgraded"), [("torch", "torch"), ("jax", "jax"), ("flax", "jax")])
def test_an_upgraded_framework_is_judged_beside_the_other(package: str, upgraded: str) -> None:
    old = copy.deepcopy(OLD)
    old["machine"] = old["machine"] | {"versions": {"torch": "2", "jax": "2", "flax": "2"}}
    new = drifted(1.3, upgraded, drifted(1.4, document=old))
    assert {one.says for one in compare(old, new).changes if one.variant.startswith(upgraded)} != {"slower"}
    new["machine"] = old["machine"] | {"versions": old["machine"]["versions"] | {package: "3"}}
    found = compare(old, new)
    assert {one.says for one in found.changes if one.case == USUAL and one.variant.startswith(upgraded)} == {"slower"}
    assert {one.says for one in found.changes if not one.variant.startswith(upgraded)} == {"same"}
    assert f"versions: {package} 2, now 3" in found.notes
    assert any("takes 1.4 times" in note for note in found.notes)


def test_a_case_of_few_variants_is_judged_beside_all_cases_and_one_alone_not_at_all() -> None:
    few = result(request=Request(problems=("mlp", "mnist"), variants=("torch stepped", "jax stepped"), rounds=3))
    new = copy.deepcopy(few)
    for entry in new["cases"]:
        for found in entry["variants"]:
            slow_down(found, 1.4)
    assert all_said(new, few) == {"same"}
    slow_down(variant(new), 1.5)
    assert [one.says for one in compare(few, new).changes].count("slower") == 1
    few["cases"], new["cases"] = few["cases"][:1], new["cases"][:1]
    assert all_said(new, few) == {"drift not measured"}


def test_where_variants_differ_by_themselves_one_has_to_stand_out() -> None:
    new = copy.deepcopy(OLD)
    for place, found in enumerate(new["cases"][0]["variants"]):
        slow_down(found, 1.1 ** (place % 3 - 1))
    before = change(new).beside
    assert before is not None
    slow_down(variant(new), 1.3 / before)
    assert says(new) == "same"
    slow_down(variant(new), 1.5)
    assert says(new) == "slower"


def test_the_kept_results_raise_hardly_an_alarm_and_a_planted_one_is_heard() -> None:
    old, new = (json.loads((KEPT / name).read_text()) for name in ("result.json", "again/result.json"))
    for first, second in ((old, new), (new, old)):
        worse = [one for one in compare(first, second).changes if one.says in WORSE]
        # It takes one time or the other in each run: `whole_run_flat` in "What was tried".
        assert {one.variant for one in worse} <= {"jax whole_run_flat"}
    usual = next(place for place, entry in enumerate(new["cases"]) if entry["case"]["name"] == USUAL)
    for name in ("torch stepped", "torch compiled", "jax stepped", "jax whole_run"):
        slower = copy.deepcopy(new)
        slow_down(variant(slower, name, usual), 1.5)
        assert says(slower, old, name) == "slower"


def test_other_code_is_told_in_a_line() -> None:
    new = OLD | {"source": "0123456789ab"}
    assert compare(OLD, new).notes == ["this project's code: unknown, now 0123456789ab"]
    assert compare(new, OLD | {"source": "ab0123456789"}).notes == [
        "this project's code: 0123456789ab, now ab0123456789"
    ]
    assert compare(new, new).notes == []


def test_a_busy_machine_is_told() -> None:
    new = copy.deepcopy(OLD)
    new["condition"]["before"] = new["condition"]["before"] | {"load": 1.7}
    (note,) = compare(OLD, new).notes
    assert note.startswith("new: other work was running: a load of 1.70 on 2 cores when this was begun; times")
    new = copy.deepcopy(OLD)
    new["cases"][0]["others"] = 0.4
    (note,) = compare(new, OLD).notes
    assert note.startswith(f"old: other work was running: 40% of the cores' time while {USUAL} was timed; times")


@pytest.mark.parametrize(
    ("before", "now", "expected"),
    [
        ("right", "wrong", "lost"),
        ("right", "inconclusive", "lost"),
        ("right", "failed", "lost"),
        ("right", "not run", "not run"),
        ("wrong", "right", "gained"),
        ("not run", "right", "gained"),
        ("wrong", "inconclusive", "wrong in both"),
        ("not run", "wrong", "now wrong"),
    ],
)
def test_what_is_not_right_in_both_is_told(before: str, now: str, expected: str) -> None:
    results = {
        "right": OLD, "wrong": verdict("wrong", "step 1 differs"), "inconclusive": verdict("inconclusive", "no power"),
        "failed": verdict("failed", str(FAILED)), "not run": verdict("not run", "not compiled yet"),
    }  # fmt: skip
    found = change(results[now], results[before])
    assert found.says == expected
    assert found.ratio is None
    assert found.why == variant(results[now])["reason"]


def test_what_was_run_in_neither_is_left_out() -> None:
    assert not any(one.variant == "torch whole_run" for one in compare(OLD, OLD).changes)


def test_what_is_no_longer_there_is_missing() -> None:
    new = copy.deepcopy(OLD)
    new["cases"][0]["variants"] = [one for one in OLD["cases"][0]["variants"] if one["name"] != "nnx_jit"]
    gone = new["cases"].pop()
    assert says(new, name="jax nnx_jit") == "missing"
    rows = [one for one in compare(OLD, new).changes if one.case == gone["case"]["name"]]
    assert len(rows) == len([one for one in gone["variants"] if one["step_us"] and not one["twin"]])
    assert {one.says for one in rows} == {"missing"}


@pytest.mark.parametrize(
    "request_",
    [
        Request(quick=True),
        Request(problems=("mnist",), variants=("jax stepped", "compiled")),
        Request(problems=("mnist",), seeds=(4,)),
        Request(problems=("mnist",), rounds=7),
    ],
)
def test_what_a_narrower_request_leaves_out_is_not_missing(request_: Request) -> None:
    new = result(request=request_)
    assert "missing" not in all_said(new)
    first = new["cases"][0]["variants"].pop(0)
    missing = [one.variant for one in compare(OLD, new).changes if one.says == "missing"]
    assert missing == [f"{first['framework']} {first['name']}"]


def test_what_the_benchmark_no_longer_has_is_missing_where_the_same_was_asked_for() -> None:
    old = copy.deepcopy(OLD)
    variant(old)["name"] = "given_up"
    assert says(OLD, old, "jax given_up") == "missing"


def test_a_request_that_is_not_known_here_is_told() -> None:
    new = result(request=Request(problems=("mnist",), variants=("jax stepped",)))
    new["request"]["variants"] = ["jax renamed"]
    with pytest.raises(NotCheckable, match=r"asked for is not known here: .*no variant 'jax renamed'"):
        compare(OLD, new)


def test_another_machine_is_refused_unless_told_otherwise() -> None:
    other = copy.deepcopy(OLD)
    other["machine"]["processor"] = "another"
    with pytest.raises(NotCheckable, match="of different machines: processor a processor and another; --other-machine"):
        compare(OLD, other)
    assert compare(OLD, other, other_machine=True).changes


def test_another_driver_is_no_other_machine_and_another_gpu_is() -> None:
    def having(driver: str, memory: str) -> dict[str, Any]:
        gpus = [{"name": "a GPU", "driver_version": driver, "memory.total": memory}]
        return OLD | {"machine": OLD["machine"] | {"gpus": gpus}}

    assert compare(having("1", "80 MiB"), having("2", "80 MiB")).changes
    with pytest.raises(NotCheckable, match=r"different machines: gpus \['a GPU, 80 MiB'\] and \['a GPU, 40 MiB'\]"):
        compare(having("1", "80 MiB"), having("1", "40 MiB"))


def test_results_without_a_case_in_common_are_refused() -> None:
    other = copy.deepcopy(OLD)
    for entry in other["cases"]:
        entry["case"]["name"] += "-w7"
    with pytest.raises(NotCheckable, match="nothing is compared"):
        compare(OLD, other)
