"""Against a golden a check finds what it finds where both sides run: agreement, and each mistake where it is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cache, partial
from pathlib import Path
from typing import Any

import pytest
import torch

import parity.golden.kept as kept_module
import parity.sides.running as running_module
from parity.errors import NotCheckable
from parity.golden.check import check_against, write_golden
from parity.golden.entries import ON_CPU
from parity.golden.file import packed, unpacked
from parity.judging.check import check
from parity.pair.pair import Pair
from parity.recording import FRAMEWORKS, OTHER, STAGES, Framework, Key
from parity.sides.live import live_side
from parity.verdict import Verdict
from parity_tests.parity import tiny_jax, tiny_torch
from parity_tests.parity.tiny import loops, planted, tiny
from parity_tests.parity.tiny_draws import batches
from parity_tests.planted import MISTAKES, Mistake

pytestmark = pytest.mark.usefixtures("compiled_once")
both_sides = pytest.mark.parametrize("framework", FRAMEWORKS)
LONG = 12
Golden = Callable[..., Path]


@pytest.fixture(scope="module")
def golden(tmp_path_factory: pytest.TempPathFactory) -> Golden:
    """The golden of one side of the tiny pair, written once for each number of steps."""
    made: dict[Any, Path] = {}

    def of(framework: Framework, steps: int = 2, small: bool = True) -> Path:
        name = (framework, steps, small)
        if name not in made:
            made[name] = tmp_path_factory.mktemp("golden") / "tiny.parity"
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(kept_module, "SMALL_BYTES", kept_module.SMALL_BYTES if small else 0)
                write_golden(tiny(steps), framework, made[name])
        return made[name]

    return of


def place(verdict: Verdict) -> tuple[Key, str, str | None]:
    assert verdict.outcome == "differ"
    assert verdict.first_difference is not None
    found = verdict.first_difference.comparison
    return found.key, found.dtype, found.side


# Agreement


def test_against_a_recorded_torch_the_verdict_is_that_of_two_sides_that_run(golden: Golden) -> None:
    found, expected = check_against(tiny(), golden("torch")), check(tiny())
    assert found.outcome == "agree"
    assert found.comparisons == expected.comparisons
    assert replace(found, seconds=0, against=None) == replace(expected, seconds=0)
    assert found.against is not None
    assert (found.against.recorded, found.against.running, found.against.steps) == ("torch", "jax", (0, 1))
    assert found.against.versions["torch"] == torch.__version__


def test_a_recorded_jax_is_the_judge(golden: Golden) -> None:
    found, expected = check_against(tiny(), golden("jax")), check(tiny())
    assert found.outcome == "agree", found.first_difference
    assert [(c.key, c.dtype, c.side, c.loop) for c in found.comparisons] == [
        (c.key, c.dtype, c.side, c.loop) for c in expected.comparisons
    ]
    assert found.comparisons != expected.comparisons


@both_sides
def test_a_side_that_runs_agrees_with_itself_as_recorded(golden: Golden, framework: Framework) -> None:
    found = check_against(tiny(), golden(framework), side=framework)
    assert found.outcome == "agree", found.first_difference
    assert found.against is not None
    assert found.against.names == {framework: "recorded", OTHER[framework]: "running"}
    assert {c.difference for c in found.comparisons if c.dtype == "float64"} == {0.0}


@both_sides
def test_a_pair_of_fewer_stages_has_a_golden_too(tmp_path: Path, framework: Framework) -> None:
    for stages in (("forward", "score"), ("forward", "loss", "backward")):
        pair = replace(tiny(3), stages=stages)
        write_golden(pair, framework, tmp_path / "few.parity")
        found, expected = check_against(pair, tmp_path / "few.parity"), check(pair)
        assert (found.outcome, found.not_asked) == ("agree", expected.not_asked)
        assert len(found.comparisons) == len(expected.comparisons)


@both_sides
def test_loops_are_recorded_with_what_they_did(tmp_path: Path, framework: Framework) -> None:
    pair = tiny(3, loops("torch"), loops("jax"))
    write_golden(pair, framework, tmp_path / "loops.parity")
    found, expected = check_against(pair, tmp_path / "loops.parity"), check(pair)
    assert (found.outcome, found.loops) == ("agree", expected.loops)
    driven = {f"{side} stepped" for side in FRAMEWORKS} | {"stepped", None}
    assert {c.loop for c in found.comparisons} == {c.loop for c in expected.comparisons} == driven
    assert len(found.comparisons) == len(expected.comparisons)


@both_sides
def test_a_loop_that_was_not_recorded_is_judged_by_the_engines_step(tmp_path: Path, framework: Framework) -> None:
    write_golden(tiny(3), framework, tmp_path / "tiny.parity")
    other = OTHER[framework]
    found = check_against(planted(other, 3, **loops(other)), tmp_path / "tiny.parity")
    assert found.outcome == "agree"
    assert any(c.loop == "stepped" and c.side == other for c in found.comparisons)


def losing_its_start(right: Any) -> Any:
    def train(**asked: Any) -> Any:
        losses, state = right(**asked)
        return losses + (asked["start"] > 0), state

    return train


@both_sides
def test_a_wrong_loop_differs_on_either_side(tmp_path: Path, framework: Framework) -> None:
    """It shows in float32 only, where a loop is started from a state."""
    right = {side: loops(side) for side in FRAMEWORKS}
    pair = tiny(3, **right)
    wrong = tiny(3, **(right | {framework: loops(framework, {"stepped": losing_its_start})}))
    for recorded, checked in ((pair, wrong), (wrong, wrong)):
        file = tmp_path / "loops.parity"
        write_golden(recorded, OTHER[framework] if recorded is pair else framework, file)
        assert place(check_against(checked, file)) == place(check(wrong))


# Mistakes of the side that runs, and of the one that was recorded

CAUGHT = [
    "sum for mean", "missing ReLU", "learning rate off by 1 %", "labels shifted by one",
    "float32 arithmetic inside a float64 run", "a NaN", "a parameter that does not move", "TF32 emulated",
]  # fmt: skip
RECORDED = ("sum for mean", "learning rate", "a NaN", "TF32")
PLANTED = [
    pytest.param(mistake, framework, id=mistake.name)
    for mistake in MISTAKES for framework in FRAMEWORKS
    if mistake.sides == (framework,) and mistake.name.rpartition(",")[0] in CAUGHT
]  # fmt: skip


@cache
def both_running(name: str) -> tuple[Key, str, str | None]:
    """Where a mistake is found where both sides run."""
    return place(check(next(m for m in MISTAKES if m.name == name).planted(tiny())))


@pytest.mark.parametrize(("mistake", "framework"), PLANTED)
def test_a_mistake_of_the_side_that_runs_is_caught_where_it_is(
    golden: Golden, mistake: Mistake, framework: Framework
) -> None:
    wrong = mistake.planted(tiny())
    assert place(check_against(wrong, golden(OTHER[framework]))) == both_running(mistake.name)


@pytest.mark.parametrize(("mistake", "framework"), [p for p in PLANTED if str(p.id).startswith(RECORDED)])
def test_a_mistake_of_the_recorded_side_is_caught_where_it_is(
    tmp_path: Path, mistake: Mistake, framework: Framework
) -> None:
    wrong = mistake.planted(tiny())
    write_golden(wrong, framework, tmp_path / "wrong.parity")
    assert place(check_against(wrong, tmp_path / "wrong.parity")) == both_running(mistake.name)


@pytest.mark.parametrize(
    ("order", "step", "words"),
    [((0, 0, 1), 1, "one step before"), ((1, 2, 2), 0, "one step later"), ((2, 1, 0), 0, "")],
)
def test_the_batch_of_another_step_is_recognised_by_its_digest(
    golden: Golden, order: tuple[int, ...], step: int, words: str
) -> None:
    shifted = planted("jax", 3, batches=lambda seed, steps: [batches(seed, steps)[index] for index in order])
    verdict = check_against(shifted, golden("torch", 3))
    assert place(verdict) == (Key("data", step, "inputs"), "float64", None)
    assert verdict.first_difference is not None
    assert verdict.first_difference.looks_like == (words and f"on the jax side it is the batch of {words}")


def test_all_these_mistakes_exist() -> None:
    assert len(PLANTED) == 2 * len(CAUGHT)


@both_sides
def test_a_mistake_of_a_later_version_is_told_apart_from_the_recorded_one(
    tmp_path: Path, framework: Framework, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The declaration is the same: what it names has changed."""
    write_golden(tiny(), framework, tmp_path / "tiny.parity")
    module: Any = tiny_torch if framework == "torch" else tiny_jax
    right = module.loss
    monkeypatch.setattr(module, "loss", lambda model, batch: 2 * right(model, batch))
    verdict = check_against(tiny(), tmp_path / "tiny.parity", side=framework)
    assert place(verdict) == (Key("loss", 0, "loss"), "float64", None)
    assert verdict.first_difference is not None
    assert verdict.first_difference.looks_like == "on the running side it is twice as large (explains it exactly)"


def test_what_is_missing_is_told_of_the_side_that_runs(golden: Golden, monkeypatch: pytest.MonkeyPatch) -> None:
    # Recorded first: the file is kept for the tests that follow.
    file, right = golden("torch"), tiny_torch.predict
    monkeypatch.setattr(tiny_torch, "predict", lambda model, batch: right(model, batch) * float("nan"))
    verdict = check_against(tiny(), file, side="torch")
    assert verdict.first_difference is not None
    assert "NaN on the running side" in str(verdict.first_difference)


# A training that is too large to be kept whole


@both_sides
def test_of_a_large_training_some_steps_are_kept(golden: Golden, framework: Framework) -> None:
    whole, few = golden(framework, LONG), golden(framework, LONG, small=False)
    assert few.stat().st_size < whole.stat().st_size
    found, expected = check_against(tiny(LONG), few), check_against(tiny(LONG), whole)
    assert (found.outcome, expected.outcome) == ("agree", "agree")
    assert found.against is not None
    assert (found.against.steps, found.against.left_out) == ((0, 1, 2, 10), ("inner.input",))
    assert [stage.stage for stage in found.stages if stage.compared] == list(STAGES)
    asked = {(c.key, c.dtype, c.side): c.difference for c in expected.comparisons}
    for comparison in found.comparisons:
        # In the scale of the whole run, also where its other steps are not there.
        assert asked[comparison.key, comparison.dtype, comparison.side] == pytest.approx(comparison.difference)
    stepped = {c.key.step for c in found.comparisons if c.key.tensor == "inner.weight" and c.dtype == "float32"}
    assert stepped == {0, 1, 2, 10}
    assert {c.key.step for c in found.comparisons if c.key.tensor == "loss"} == set(range(LONG))


@pytest.mark.parametrize(
    ("mistake", "framework"), [p for p in PLANTED if p.id in ("missing ReLU, jax", "TF32 emulated, torch")]
)
def test_there_too_a_mistake_is_caught_where_it_is(golden: Golden, mistake: Mistake, framework: Framework) -> None:
    wrong = mistake.planted(tiny(LONG))
    expected = check_against(wrong, golden(OTHER[framework], LONG))
    found = check_against(wrong, golden(OTHER[framework], LONG, small=False))
    assert place(found) == place(expected)


# What a golden is of


def test_a_recording_of_something_else_is_refused(golden: Golden) -> None:
    file = golden("torch")
    refused: dict[str, Callable[[], Verdict]] = {
        "recording of seed 1, found 0: check with --seed 0": partial(check_against, tiny(), file, seed=1),
        "recording of steps 3, found 2: check with --steps 2": partial(check_against, tiny(3), file),
        "recording of pair other, found tiny": partial(check_against, replace(tiny(), name="other"), file),
        "recording of device gpu, found cpu": partial(check_against, tiny(), file, device="gpu"),
        "stages data, init, forward, score, found data,": partial(
            check_against, replace(tiny(), stages=("forward", "score")), file
        ),
        "the pair's torch side is declared anew": partial(check_against, declared_anew("torch"), file),
    }
    for words, work in refused.items():
        with pytest.raises(NotCheckable) as told:
            work()
        assert str(told.value).startswith(f"{file}: expected a recording of ")
        assert words in str(told.value)
        assert "record again with parity record" in str(told.value)
    assert check_against(declared_anew("jax"), file).outcome == "agree"


def declared_anew(framework: Framework) -> Pair:
    module: Any = tiny_torch if framework == "torch" else tiny_jax
    return planted(framework, predict=lambda model, batch: module.predict(model, batch))


# On a GPU: the sides are told that they run there, and run on the CPU


@both_sides
def test_the_judge_of_a_gpu_was_recorded_on_the_cpu_too(
    tmp_path: Path, framework: Framework, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    def on_cpu(side: Any, framework: Framework, dtype: Any, device: str) -> Any:
        asked.append(device)
        return live_side(side, framework, dtype, "cpu")

    monkeypatch.setattr(running_module, "live_side", on_cpu)
    write_golden(tiny(), framework, tmp_path / "gpu.parity", device="gpu")
    assert asked.count("cpu") == 1
    found = check_against(tiny(), tmp_path / "gpu.parity", device="gpu")
    assert found.outcome == "agree"
    assert asked.count("cpu") == 1, "the side that runs is no judge"
    judged = [c for c in found.comparisons if c.loop == f"{framework} on the CPU"]
    assert {c.key.stage for c in judged} == set(STAGES)
    wrong = unpacked(tmp_path / "gpu.parity")
    update = wrong.recordings[ON_CPU].of("update", 1)
    update["outer.bias"] = update["outer.bias"] * (1 + 1e-8)
    (tmp_path / "gpu.parity").write_bytes(packed(wrong))
    found = check_against(tiny(), tmp_path / "gpu.parity", device="gpu")
    assert found.first_difference is not None
    assert found.first_difference.comparison.loop == f"{framework} on the CPU"
    assert found.first_difference.comparison.key == Key("update", 1, "outer.bias")


def test_a_recording_that_lacks_what_is_asked_is_refused(golden: Golden, tmp_path: Path) -> None:
    for section, name in (("recordings", "float32"), ("figures", "curve"), ("figures", "float32")):
        content = unpacked(golden("torch"))
        del getattr(content, section)[name]
        (tmp_path / "less.parity").write_bytes(packed(content))
        with pytest.raises(NotCheckable, match=f"less.parity: expected .*{name}, found none: write it again with"):
            check_against(tiny(), tmp_path / "less.parity")


@pytest.mark.parametrize("entry", ["kept", "framework"])
def test_another_heading_is_refused(golden: Golden, tmp_path: Path, entry: str) -> None:
    content = unpacked(golden("torch"))
    content.heading = dict(content.heading) | {entry: "flax"}
    (tmp_path / "other.parity").write_bytes(packed(content))
    with pytest.raises(NotCheckable, match=r"other\.parity: (its heading is not as|expected a side torch or jax)"):
        check_against(tiny(), tmp_path / "other.parity")


@pytest.mark.parametrize("entry", ["sources", "idle"])
def test_a_heading_that_lacks_something_is_refused(golden: Golden, tmp_path: Path, entry: str) -> None:
    content = unpacked(golden("torch"))
    content.heading = {name: value for name, value in content.heading.items() if name != entry}
    (tmp_path / "less.parity").write_bytes(packed(content))
    with pytest.raises(NotCheckable, match=rf"less\.parity: its heading is not as expected: .*{entry}"):
        check_against(tiny(), tmp_path / "less.parity")
