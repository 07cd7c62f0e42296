"""What is printed: the figures of each stage where they belong, readable at 80 columns, worst things first."""

from __future__ import annotations

from dataclasses import replace
from io import StringIO

import numpy as np
import pytest
from rich.console import Console

from parity.command.report import closing_line, figure, print_verdict, short
from parity.judging.distance.difference import Scales
from parity.judging.passes.float32 import Float32
from parity.judging.passes.float64 import compare_one
from parity.recording import FRAMEWORKS, STAGES, Array, Key, Recording
from parity.verdict import Against, Cause, Curves, Score, Verdict
from parity_tests.parity.made_recordings import MadeNoise
from parity_tests.parity.made_verdicts import agreeing, differing, inconclusive, pair, provenance, with_bfloat16

AGREE, DIFFER, INCONCLUSIVE = agreeing(), differing(), inconclusive()


def printed(verdict: Verdict, width: int = 100, **console: bool) -> list[str]:
    out = StringIO()
    print_verdict(Console(file=out, width=width, highlight=False, **console), pair(), verdict)  # type: ignore[arg-type]
    return [line.rstrip() for line in out.getvalue().splitlines()]


def row(lines: list[str], stage: str) -> list[str]:
    (found,) = [line.split() for line in lines if line.startswith(stage + " ")]
    return found


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.0, "0"), (7.04e-15, "7.0e-15"), (1.0, "1.0e+00"), (float("inf"), "inf"), (float("nan"), "nan")],
)
def test_figure(value: float, text: str) -> None:
    assert figure(value) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "-"), (0.0, "0"), (0.04, "4e-02"), (0.94, "0.9"), (2.06, "2.1"), (9.96, "10"), (999.4, "999"),
        (999.6, "1e3"), (4.2e11, "4e11"), (float("inf"), "inf"), (float("nan"), "nan"),
    ],
)  # fmt: skip
def test_short(value: float | None, text: str) -> None:
    assert short(value) == text


def test_each_stage_is_a_row_with_its_figures() -> None:
    lines = printed(AGREE)
    assert [line.split()[0] for line in lines[3:11]] == list(STAGES)
    assert row(lines, "data") == ["data", "0", "0", "exact", "0", "exact", "0", "exact", "-", "agree"]
    figures = ["2.0e-16", "0.9", "1.0e-12", "3.0e-07", "2.4e-05", "3.0e-07", "7.5e-05", "4e11/2e3", "agree"]
    assert row(lines, "backward") == ["backward", *figures]


def test_the_first_line_says_what_was_not_asked() -> None:
    asked = [stage for stage in AGREE.stages if stage.stage in ("data", "init", "forward", "score")]
    lines = printed(replace(AGREE, stages=asked))
    assert lines[0] == "made  3 steps, seed 7, cpu; not asked: loss, backward, update, trajectory"
    assert "not asked" not in printed(AGREE)[0]


def test_a_narrow_table_has_one_limit_and_the_other_below_where_they_differ() -> None:
    lines = printed(AGREE, 80)
    figures = ["2.0e-16", "0.9", "1.0e-12", "3.0e-07", "3.0e-07", "2.4e-05", "4e11/2e3", "agree"]
    assert row(lines, "forward") == ["forward", *figures]
    assert row(lines, "backward") == ["backward", *figures]
    after = lines[[line.startswith("backward") for line in lines].index(True) + 1]
    assert after.split() == ["7.5e-05"]


@pytest.mark.parametrize("width", [80, 97, 98, 100, 140])
@pytest.mark.parametrize("verdict", [AGREE, DIFFER, INCONCLUSIVE], ids=["agree", "differ", "inconclusive"])
def test_no_figure_is_cut_off(verdict: Verdict, width: int) -> None:
    lines = printed(verdict, width)
    table = lines[1 : lines.index(next(line for line in lines if line.startswith("score"))) + 1]
    assert not any("\N{HORIZONTAL ELLIPSIS}" in line for line in table)
    assert max(map(len, table)) <= width
    for stage in verdict.stages:
        assert row(lines, stage.stage)[-1] == stage.outcome


def test_scores_are_told_in_the_pairs_words() -> None:
    told = "right answers on the images that were seen: torch 970/1000, JAX 970/1000"
    assert told in printed(AGREE)
    apart = Score("seen", 1000, AGREE.scores[0].right | {("jax", "float32"): 969})
    told = (
        "right answers on the images that were seen: torch 970/1000, JAX 970/1000 in float64; "
        "torch 970/1000, JAX 969/1000 in float32"
    )
    assert told in printed(replace(AGREE, scores=[apart]))
    unnamed = replace(AGREE, scores=[replace(apart, name="other")])
    assert any(line.startswith("right answers on other: ") for line in printed(unnamed))


def test_scores_of_a_pair_that_was_not_judged_in_float32() -> None:
    only = Score("seen", 10, {(side, "float64"): 9 for side in FRAMEWORKS})
    assert "right answers on the images that were seen: torch 9/10, JAX 9/10" in printed(replace(AGREE, scores=[only]))


def test_curves_are_shown_and_not_judged() -> None:
    assert (
        "free-running float32, shown and not judged: last losses torch 0.5, JAX 0.501, 2.0e-03 apart; "
        "noise band torch 1.0e-03, JAX 2.0e-03"
    ) in printed(AGREE)
    assert not any("free-running" in line for line in printed(replace(AGREE, curves=Curves({}, {}))))


def test_loops_that_ran_and_those_that_could_not() -> None:
    assert "loops: torch stepped; JAX stepped, whole_run; not torch whole_run (needs CUDA)" in printed(AGREE)
    assert not any(line.startswith("loops") for line in printed(replace(AGREE, loops={"torch": {}, "jax": {}})))


def test_what_was_not_seen_is_printed_whole_and_before_what_is_listed() -> None:
    unseen = [f"whether {number}" for number in range(5)]
    lines = [line for line in printed(replace(AGREE, unseen=unseen)) if line.startswith(("not seen", "listed"))]
    assert lines[:5] == [f"not seen: {line}" for line in unseen]
    assert lines[5].startswith("listed")


def test_few_listed_lines_are_printed_and_the_rest_counted() -> None:
    listed = [line for line in printed(AGREE) if line.startswith("listed")]
    assert len(listed) == 4
    assert listed[-1] == "listed: 2 more; --json writes them all"
    three = replace(AGREE, listed=AGREE.listed[:3])
    assert [line for line in printed(three) if line.startswith("listed")] == listed[:3]


@pytest.mark.parametrize("cause", ["null gradient", "no power"])
def test_a_first_difference_judged_by_another_rule_is_told_by_how_much_all_the_same(cause: Cause) -> None:
    assert DIFFER.first_difference is not None
    first = replace(
        DIFFER.first_difference, comparison=replace(DIFFER.first_difference.comparison, note="a rule", cause=cause)
    )
    assert "float64: difference 1, limit 1e-12 (a rule); jax is twice as large" in str(first)


def test_the_first_difference_stands_first_and_says_where_how_far_and_what_it_looks_like() -> None:
    lines = printed(DIFFER)
    after = lines[lines.index(next(line for line in lines if line.startswith("score"))) + 1 :]
    assert after[0] == (
        "first difference: backward, step 0, tensor weight, float64: difference 1, limit 1e-12; jax is twice as large"
    )
    assert after[1] == "backward: 1 of 3 comparisons differ"
    assert row(lines, "backward")[1:4] == ["1.0e+00", "5e15", "1.0e-12"]
    assert row(lines, "update")[1:3] == ["inf", "-"]


ONE = np.ones(2)


@pytest.mark.parametrize(
    ("torch", "jax", "word"),
    [
        (ONE, ONE.astype("float32"), "dtype"), (ONE, np.ones(2, int), "dtype"), (ONE, np.ones(3), "shape"),
        (np.ones(2, int), np.ones(3, int), "shape"), (None, ONE, "missing"), (ONE, np.array([1, np.nan]), "NaN"),
        (ONE, np.array([1, np.inf]), "infinity"),
    ],
)  # fmt: skip
def test_what_cannot_be_compared_has_a_word_and_no_figure(torch: Array | None, jax: Array, word: str) -> None:
    found = compare_one(Key("update", 0, "w"), torch, jax, Scales({}, frozenset()))
    stage = next(stage for stage in DIFFER.stages if stage.stage == "update")
    changed = replace(stage, float64=found, float32=dict.fromkeys(FRAMEWORKS, found))
    stages = [changed if other is stage else other for other in DIFFER.stages]
    cells = row(printed(replace(DIFFER, stages=stages)), "update")
    assert cells[1:3] == [word, "-"]
    assert [cells[4], cells[6]] == [word, word]


def test_what_is_not_in_the_judge_is_told_as_missing_and_what_has_no_cause_by_its_figure() -> None:
    there = Recording(provenance("torch", "float32"), {("update", 0): {"w": ONE.astype("float32")}})
    rule = Float32(Recording(provenance("torch", "float64")), Scales({}, frozenset()), {}, lambda _: MadeNoise(there))
    torch, jax = rule.compare({"torch": there, "jax": there})
    stage = next(stage for stage in DIFFER.stages if stage.stage == "update")
    changed = replace(stage, float64=replace(torch, cause=""), float32={"torch": torch, "jax": jax})
    stages = [changed if other is stage else other for other in DIFFER.stages]
    cells = row(printed(replace(DIFFER, stages=stages)), "update")
    assert [cells[1], cells[4], cells[6]] == ["inf", "missing", "missing"]


def test_what_is_not_proven_has_its_reason() -> None:
    assert "forward: no power in float32: the wrong answer 'coarse' is only 1.1 limits away" in printed(INCONCLUSIVE)


def test_one_reason_of_several_stages_is_said_once_and_a_count_for_each() -> None:
    why = {"forward": "draws", "loss": "draws", "backward": "1 of 2 differ", "update": "1 of 2 differ"}
    stages = [
        replace(stage, outcome="differ" if "differ" in why[stage.stage] else "inconclusive", reason=why[stage.stage])
        for stage in DIFFER.stages if stage.stage in why
    ]  # fmt: skip
    shown = printed(replace(DIFFER, stages=stages))
    assert "forward, loss: draws" in shown
    assert "backward: 1 of 2 differ" in shown
    assert "update: 1 of 2 differ" in shown


def test_names_are_not_taken_for_markup() -> None:
    listed = replace(AGREE, listed=["null gradient: backward layers[0].bias [/bold]"])
    assert "listed: null gradient: backward layers[0].bias [/bold]" in printed(listed)


def test_colours_where_wanted_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    assert any("\x1b[1;31m" in line for line in printed(DIFFER, force_terminal=True, legacy_windows=False))
    monkeypatch.setenv("NO_COLOR", "1")
    assert not any("\x1b[1;31m" in line for line in printed(DIFFER, force_terminal=True, legacy_windows=False))


@pytest.mark.parametrize(
    ("verdicts", "text"),
    [
        ([AGREE], "AGREE: the same in PyTorch and in JAX: made (1 of 1 pair, 3 s)"),
        (
            [agreeing("a"), agreeing("b"), agreeing("c")],
            "AGREE: the same in PyTorch and in JAX: a, b and c (3 of 3 pairs, 3 s)",
        ),
        (
            [agreeing("a"), inconclusive("b"), differing("c")],
            "DIFFER: not the same in PyTorch and in JAX: c (1 of 3 pairs, 3 s)",
        ),
        (
            [agreeing("a"), inconclusive("b")],
            "INCONCLUSIVE: b (1 of 2 pairs, 3 s): neither agreement nor difference is proven, for the reasons above",
        ),
    ],
)
def test_closing_line(verdicts: list[Verdict], text: str) -> None:
    assert closing_line(verdicts, 3.2).plain == text


def test_closing_line_after_a_check_against_a_recording() -> None:
    against = Against("file", "torch", "jax", {}, (0, 1), ())
    assert (
        closing_line([replace(AGREE, against=against)], 3.2).plain
        == "AGREE: the same as recorded: made (1 of 1 pair, 3 s)"
    )


def test_bfloat16_has_a_table_of_its_own_where_it_was_asked_for() -> None:
    lines = printed(with_bfloat16())
    (start,) = [index for index, line in enumerate(lines) if line.startswith("bfloat16 ")]
    assert lines[start].split() == ["bfloat16", "torch", "eps", "limit", "JAX", "eps", "limit", "power"]
    assert row(lines[start:], "forward") == ["forward", "4.0e-03", "0.5", "6.2e-02", "4.0e-03", "0.5", "6.2e-02", "16"]
    assert lines[:start] == printed(AGREE)[:start]
    assert not any(line.startswith("bfloat16") for line in printed(AGREE))
