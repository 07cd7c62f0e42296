"""In a float64 run, what follows a declared layer may be as far from the judge as float32 may, and no further."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from parity.judging.distance.difference import scales
from parity.judging.distance.factors import CAP, FEW_EPS, FLOAT32_FACTOR, FLOAT64_FLOOR, LOW_CAP
from parity.judging.findings import Findings
from parity.judging.passes.by_float32 import compare_by_float32, judged_with_cpu
from parity.judging.passes.float32 import Float32
from parity.judging.passes.inside import inside
from parity.judging.passes.judge import ON_CPU
from parity.recording import Array, Framework, Key
from parity.verdict import EPS, Comparison
from parity_tests.parity.made_recordings import MadeNoise, forward, off, recording
from parity_tests.parity.made_verdicts import pair

ARRAY = np.array([[1.0, -2.0, 0.5], [0.0, 0.25, 1.5]])
KEY = Key("forward", 0, "fc.output")
WIDE = FLOAT32_FACTOR * FEW_EPS * EPS["float32"]


def one(found: Array, coarse: float | None = None, noise: float = 0.0) -> tuple[Comparison, Float32]:
    """What is said of a side that found this, where the judge's own is so noisy in float32."""
    judge, other = forward(ARRAY), forward(found)
    made = MadeNoise(judge, forward(off(ARRAY, noise)))

    def noise_of(framework: Framework) -> MadeNoise:
        assert framework == "torch"
        return made

    float32 = Float32(judge, scales([judge, other]), {} if coarse is None else {KEY: coarse}, noise_of)
    (comparison,) = compare_by_float32(float32, judge, other, "torch", [KEY])
    assert (comparison.dtype, comparison.side) == ("float64", None)
    return comparison, float32


@pytest.mark.parametrize(("share", "outcome"), [(0.0, "agree"), (0.9, "agree"), (1.1, "differ")])
def test_the_limit_is_float32s_factor_of_a_few_eps(share: float, outcome: str) -> None:
    found, _ = one(off(ARRAY, share * WIDE))
    assert (found.outcome, found.limit) == (outcome, WIDE)


def test_the_limit_grows_with_the_noise_of_the_judges_side_and_not_with_the_distance() -> None:
    assert one(off(ARRAY, 2 * WIDE), noise=3 * WIDE / FLOAT32_FACTOR)[0].outcome == "agree"
    assert one(off(ARRAY, 1e3))[0].limit == WIDE


def test_no_limit_reaches_half_of_the_coarse_distance() -> None:
    coarse = WIDE
    assert one(off(ARRAY, 0.9 * CAP * coarse), coarse)[0].outcome == "agree"
    found, float32 = one(off(ARRAY, 1.1 * CAP * coarse), coarse)
    assert (found.outcome, found.limit, float32.without_power) == ("differ", CAP * coarse, set())


def test_where_lower_precision_moves_nothing_there_is_no_power_and_that_is_said() -> None:
    found, float32 = one(ARRAY, coarse=LOW_CAP * EPS["float32"])
    assert (found.outcome, found.limit, found.note) == ("agree", WIDE, "no power in float32: judged without the cap")
    assert float32.without_power == {KEY}


def test_what_a_layer_gives_in_float32_is_compared_by_its_numbers() -> None:
    assert one(ARRAY.astype("float32"))[0].outcome == "agree"
    assert one((1.001 * ARRAY).astype("float32"))[0].outcome == "differ"


@pytest.mark.parametrize(
    ("found", "words"),
    [(off(ARRAY, np.nan), "NaN"), (ARRAY.astype("float16"), "float16"), (ARRAY[:1], "shape"), (ARRAY > 0, "bool")],
)
def test_what_cannot_be_compared_differs_and_says_why(found: Array, words: str) -> None:
    comparison, _ = one(found)
    assert (comparison.outcome, comparison.difference) == ("differ", float("inf"))
    assert words in comparison.note


def test_a_gradient_is_judged_again_where_an_activation_of_the_other_side_flipped() -> None:
    asked: list[Any] = []

    def rejudge(comparison: Comparison) -> Comparison:
        asked.append((comparison.side, comparison.outcome, comparison.limit))
        return Comparison(comparison.key, "float64", "jax", None, 0.0, WIDE, None, "agree", "flipped")

    def compared(apart: float) -> list[Comparison]:
        gradient = Key("backward", 0, "fc.weight")
        judge, other = (
            recording(("forward", 0, {"fc.output": off(ARRAY, a)}), ("backward", 0, {"fc.weight": off(ARRAY, b)}))
            for a, b in ((0.0, 0.0), (apart, 1.0))
        )
        float32 = Float32(judge, scales([judge, other]), {}, lambda _: MadeNoise(judge), rejudge)
        return compare_by_float32(float32, judge, other, "torch", [gradient, KEY])

    found, _ = compared(0.0)
    assert asked == [("jax", "differ", WIDE)]
    assert (found.outcome, found.side, found.note) == ("agree", None, "flipped")
    # Unless what goes forward differs, which no flip does.
    assert [c.outcome for c in compared(1.0)] == ["differ", "differ"]
    assert len(asked) == 1


def test_the_judge_of_a_gpu_and_the_cpu_are_compared_as_far_as_they_start_alike() -> None:
    """Before a declared layer within the limit of float64, behind it by the rule of float32, up to the first update."""

    def run(before: float, behind: float) -> Any:
        arrays = {"fc.output": off(ARRAY, before), "norm.output": off(ARRAY, behind)}
        later = {"fc.output": off(ARRAY, 1.0), "norm.output": off(ARRAY, 1.0)} if before or behind else arrays
        return recording(("forward", 0, arrays), ("forward", 1, later))

    def judged(before: float, behind: float) -> list[str]:
        judge, cpu = run(0, 0), run(before, behind)
        findings = Findings(pair(), 0, "gpu", {}, recordings={"float64": {"torch": judge, "jax": judge}})
        findings.scales, findings.inside = scales([judge, cpu]), inside(("norm",), judge, ())
        found = judged_with_cpu(findings, cpu, lambda framework, until: MadeNoise(judge))
        assert [(c.key.step, c.loop) for c in found] == [(0, ON_CPU.format("torch"))] * 2
        return [c.outcome for c in found]

    assert judged(FLOAT64_FLOOR / 2, WIDE / 2) == ["agree", "agree"]
    assert judged(WIDE / 2, WIDE / 2) == ["differ", "agree"]
