"""Each float32 side is judged by its distance from the float64 judge, within what the other side shows."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from parity.arrays.rounding import held
from parity.judging.distance.difference import scales
from parity.judging.distance.drift import Drift
from parity.judging.distance.factors import BFLOAT16_FACTOR, CAP, FEW_EPS, FLOAT32_FACTOR, NOISE_DRAWS
from parity.judging.passes.float32 import Float32, coarse_distances
from parity.recording import Array, Framework, Key, Recording
from parity.verdict import EPS, Comparison
from parity_tests.parity.made_recordings import MadeNoise, forward, off, recording, replayed

ARRAY = np.array([[1.0, -2.0, 0.5], [0.0, 0.25, 1.5]])
SINGLE = ARRAY.astype("float32")
OUTPUT = Key("forward", 0, "fc.output")
FLOOR = FLOAT32_FACTOR * FEW_EPS * EPS["float32"]
BOTH = pytest.mark.parametrize("swap", [False, True], ids=["jax is wrong", "torch is wrong"])


def judging(judge: Recording, noise: float = 0.0, coarse: Mapping[Key, float] | None = None) -> Float32:
    """Judges by this recording; either side moves by `noise` when it is disturbed."""
    made = MadeNoise(judge, forward(off(ARRAY, noise)) if noise else judge)
    return Float32(judge, scales([judge]), coarse or {}, lambda _: made)


def sides(torch: Array, jax: Array) -> dict[Framework, Recording]:
    return {"torch": forward(torch, "float32"), "jax": forward(jax, "float32")}


def apart(torch: float, jax: float, **how: float | Mapping[Key, float]) -> dict[str | None, Comparison]:
    """What is found where the sides are so far from the judge."""
    found = judging(forward(ARRAY), **how).compare(sides(off(SINGLE, torch), off(SINGLE, jax)))  # type: ignore[arg-type]
    return {comparison.side: comparison for comparison in found}


def outcomes(found: Mapping[str | None, Comparison]) -> tuple[str, str]:
    return found["torch"].outcome, found["jax"].outcome


# The limit


def test_each_side_is_told_its_own_distance_from_the_judge() -> None:
    found = apart(2.0**-20, -(2.0**-18))
    assert {side: c.difference for side, c in found.items()} == {"torch": 2.0**-20, "jax": 2.0**-18}
    assert outcomes(found) == ("agree", "agree")
    assert found["torch"].limit == FLOAT32_FACTOR * 2.0**-18
    assert found["jax"].limit == FLOAT32_FACTOR * 2.0**-20


@given(st.floats(1e-6, 0.4), st.floats(1e-6, 0.4))
def test_no_side_is_so_far_away_that_it_excuses_itself(torch: float, jax: float) -> None:
    found = apart(torch, jax)
    for side, other in (("torch", "jax"), ("jax", "torch")):
        assert found[side].limit == max(FLOAT32_FACTOR * found[other].difference, FLOOR)
        assert (found[side].outcome == "agree") == (found[side].difference <= found[side].limit)


def test_a_wrong_side_differs_and_the_right_one_agrees() -> None:
    assert outcomes(apart(0, 2 * FLOOR)) == ("agree", "differ")
    assert outcomes(apart(2 * FLOOR, 0)) == ("differ", "agree")
    assert outcomes(apart(FLOOR / 2, FLOOR / 2)) == ("agree", "agree")


@BOTH
def test_whole_numbers_beside_floating_ones_differ_though_their_values_are_the_same(swap: bool) -> None:
    whole, single = np.array([1, 2], "int32"), np.array([1, 2], "float32")
    (found,) = judging(forward(np.array([1.0, 2.0]))).compare(sides(*((single, whole) if swap else (whole, single))))
    assert (found.outcome, "dtype" in found.note) == ("differ", True)


def test_the_noise_of_the_other_side_explains_a_distance() -> None:
    assert outcomes(apart(0, 2 * FLOOR, noise=FLOOR)) == ("agree", "agree")


@pytest.mark.parametrize("far", [0.0, FLOOR / 2, 2 * FLOOR])
def test_noise_is_drawn_only_where_the_rest_does_not_suffice(far: float) -> None:
    judge = forward(ARRAY)
    made: dict[Framework, MadeNoise] = {"torch": MadeNoise(judge), "jax": MadeNoise(judge)}
    Float32(judge, scales([judge]), {}, made.__getitem__).compare(sides(SINGLE, off(SINGLE, far)))
    # The noise of the side that is not in doubt: torch's.
    assert {side: noise.runs for side, noise in made.items()} == {"torch": NOISE_DRAWS if far > FLOOR else 0, "jax": 0}


def test_the_cap_stops_both_sides_in_lower_precision() -> None:
    coarse = {OUTPUT: 1e-3}
    assert outcomes(apart(1e-3, 1e-3)) == ("agree", "agree")
    assert outcomes(apart(1e-3, 1e-3, coarse=coarse)) == ("differ", "differ")
    found = apart(1e-5, 0.49e-3, coarse=coarse)
    assert outcomes(found) == ("agree", "agree")
    assert found["jax"].limit == CAP * 1e-3


def test_without_power_a_tensor_is_judged_without_the_cap_and_listed() -> None:
    judging_by = judging(forward(ARRAY), coarse={OUTPUT: FEW_EPS * EPS["float32"]})
    found = judging_by.compare(sides(SINGLE, off(SINGLE, 1e-6)))
    assert {c.outcome for c in found} == {"agree"}
    assert {c.note for c in found} == {"no power in float32: judged without the cap"}
    assert judging_by.without_power == {OUTPUT}
    # Nor is everything let through then.
    assert {c.outcome for c in judging_by.compare(sides(SINGLE, off(SINGLE, 1e-2)))} == {"agree", "differ"}


def test_what_the_cap_does_not_apply_to_has_none() -> None:
    key = Key("update", 0, "w")
    judge = recording(("update", 0, {"w": ARRAY}))
    by = Float32(judge, scales([judge]), {key: 1e-9}, lambda _: MadeNoise(judge))
    assert by.limit(key, 0.0, 0.0) == (FLOOR, True)


# What cannot be compared


FAULTS: dict[str, tuple[Array, str]] = {
    "NaN": (off(SINGLE, np.nan), "NaN on the"),
    "infinity": (off(SINGLE, -np.inf), "infinity on the"),
    "float64": (ARRAY, "float64 on the"),
    "float16": (ARRAY.astype("float16"), "float16 on the"),
    "a row less": (SINGLE[:1], "shape"),
    "a row that would broadcast": (SINGLE[0], "shape"),
    "nothing": (SINGLE[:0], "shape"),
    "transposed": (SINGLE.T, "shape"),
}


@BOTH
@pytest.mark.parametrize("fault", FAULTS)
def test_what_cannot_be_compared_differs_on_the_side_where_it_is(fault: str, swap: bool) -> None:
    array, words = FAULTS[fault]
    pair = (array, SINGLE) if swap else (SINGLE, array)
    (found,) = judging(forward(ARRAY)).compare(sides(*pair))
    side = "torch" if swap else "jax"
    assert (found.outcome, found.side, found.difference) == ("differ", side, math.inf)
    assert words in found.note
    assert side in found.note


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_on_both_sides_is_one_too(fault: str) -> None:
    array, _ = FAULTS[fault]
    found = judging(forward(ARRAY)).compare(sides(array, array.copy()))
    assert [(c.side, c.outcome) for c in found] == [("torch", "differ"), ("jax", "differ")]


def test_a_tensor_on_one_side_only_or_unknown_to_the_judge_differs() -> None:
    more = recording(("forward", 0, {"fc.output": SINGLE, "extra.output": SINGLE}), dtype="float32")
    plain = forward(SINGLE, "float32")
    judge = forward(ARRAY)
    wrong = [c for c in judging(judge).compare({"torch": more, "jax": plain}) if c.outcome == "differ"]
    assert {(c.side, c.note, c.cause) for c in wrong} == {
        ("torch", "only on the torch side, not in the judge", "missing"), ("jax", "missing on the jax side", "missing"),
    }  # fmt: skip
    wrong = [c for c in judging(judge).compare({"torch": more, "jax": more}) if c.outcome == "differ"]
    assert {c.key.tensor for c in wrong} == {"extra.output"}


def test_zero_agrees_with_zero_and_nothing_else() -> None:
    zero = np.zeros(3, "float32")
    judge = forward(np.zeros(3))
    assert {c.outcome for c in judging(judge).compare(sides(zero, zero))} == {"agree"}
    found = {c.side: c.outcome for c in judging(judge).compare(sides(zero, zero + np.float32(1e-30)))}
    assert found == {"torch": "agree", "jax": "differ"}


@pytest.mark.parametrize("stage", ["data", "init"])
def test_data_and_initial_parameters_are_compared_bit_by_bit_with_each_other(stage: str) -> None:
    # The judge's are float64: it has no say here.
    by = judging(recording((stage, 0, {"w": ARRAY * 2})))
    last_bit = np.nextafter(SINGLE, np.float32(9))

    def compare(jax: Array) -> Comparison:
        pair = (recording((stage, 0, {"w": array}), dtype="float32") for array in (SINGLE, jax))
        (found,) = by.compare(dict(zip(("torch", "jax"), pair, strict=True)))
        return found

    assert (compare(SINGLE.copy()).outcome, compare(SINGLE).limit) == ("agree", 0)
    assert compare(last_bit).outcome == "differ"


def test_a_step_counter_that_is_not_the_same_differs() -> None:
    def run(step: int) -> Recording:
        return recording(("update", 0, {"step": np.array(step)}), dtype="float32")

    (found,) = judging(run(1)).compare({"torch": run(1), "jax": run(1)}, loop="a loop")
    assert (found.outcome, found.loop) == ("agree", "a loop")
    (found,) = judging(run(1)).compare({"torch": run(1), "jax": run(2)})
    assert (found.outcome, found.side) == ("differ", None)


# Judged again


@pytest.mark.parametrize("outcome", ["agree", "differ"])
def test_a_difference_with_a_reason_is_judged_again_and_nothing_else_is(outcome: str) -> None:
    asked: list[Framework | None] = []

    def rejudge(comparison: Comparison) -> Comparison:
        asked.append(comparison.side)
        return replace(comparison, outcome=outcome, note="a reason", difference=0.0)  # type: ignore[arg-type]

    by = judging(forward(ARRAY))
    by.rejudge = rejudge
    found = {c.side: c for c in by.compare(sides(SINGLE, off(SINGLE, 0.1)))}
    assert asked == ["jax"]
    assert (found["jax"].outcome, found["torch"].outcome) == (outcome, "agree")
    # A difference that is one again keeps the distance where it was found.
    assert found["jax"].difference == (0.0 if outcome == "agree" else pytest.approx(0.1))


# The coarse distance


def test_coarse_distances_are_those_of_outputs_and_gradients_of_the_observed_steps() -> None:
    def run(change: Callable[[Array], Array]) -> Recording:
        names = {"fc.input": ARRAY, "fc.output": ARRAY, "fc.calls": np.array(3)}
        moved = {name: change(array) for name, array in names.items()}
        after = {"loss": change(np.array(1.0)), "gradient.w": change(ARRAY), "w": change(ARRAY)}
        return recording(("forward", 0, moved), ("backward", 0, {"w": change(ARRAY)}), ("trajectory", 0, after))

    judge = run(lambda array: array)
    coarse = run(lambda array: array * 2 if array.dtype.kind == "i" else array * (1 + 2.0**-11))
    drift = Drift(judge)
    replayed(coarse, drift)
    assert coarse_distances(drift.apart, scales([judge])) == {
        OUTPUT: pytest.approx(2.0**-11),
        Key("backward", 0, "w"): pytest.approx(2.0**-11),
    }


BFLOAT16 = BFLOAT16_FACTOR * FEW_EPS * EPS["bfloat16"]


def in_bfloat16(torch: Array, jax: Array) -> dict[str | None, Comparison]:
    """What is found of two sides in bfloat16."""
    judge = forward(ARRAY)
    rule = Float32(judge, scales([judge]), {}, lambda _: MadeNoise(judge), dtype="bfloat16")
    both: dict[Framework, Recording] = {"torch": forward(torch, "bfloat16"), "jax": forward(jax, "bfloat16")}
    return {found.side: found for found in rule.compare(both)}


@BOTH
def test_bfloat16_has_the_same_rule_and_a_factor_of_its_own(swap: bool) -> None:
    for share, outcome in ((0.9 * BFLOAT16, "agree"), (1.2 * BFLOAT16, "differ")):
        wrong = held(off(SINGLE, share), "bfloat16")
        found = in_bfloat16(*((SINGLE, wrong) if swap else (wrong, SINGLE)))
        here, there = found["jax" if swap else "torch"], found["torch" if swap else "jax"]
        assert (here.outcome, here.limit, here.dtype) == (outcome, BFLOAT16, "bfloat16")
        assert there.outcome == "agree"


def test_what_bfloat16_has_not_is_a_difference_however_near_it_is() -> None:
    found = in_bfloat16(SINGLE, off(SINGLE, 2.0**-12))["jax"]
    assert (found.outcome, found.note) == ("differ", "more than bfloat16 on the jax side of a bfloat16 run")


def test_nan_in_bfloat16_is_a_difference() -> None:
    found = in_bfloat16(off(SINGLE, math.nan), SINGLE)["torch"]
    assert (found.outcome, found.note) == ("differ", "NaN on the torch side")


def test_a_null_gradient_is_not_judged_in_bfloat16() -> None:
    exact = recording(("backward", 0, {"fc.weight": ARRAY, "fc.bias": np.full(2, 1e-17)}))
    noisy = recording(("backward", 0, {"fc.weight": SINGLE, "fc.bias": np.ones(2, np.float32)}), dtype="bfloat16")
    rule = Float32(exact, scales([exact]), {}, lambda _: MadeNoise(exact), dtype="bfloat16")
    assert {found.key.tensor for found in rule.compare({"torch": noisy, "jax": noisy})} == {"fc.weight"}
