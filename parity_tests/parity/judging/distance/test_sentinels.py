"""Numbers that were written in are told from those that were computed, and do not hide what is wrong with these."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from parity.judging.distance.difference import Scales, apart, difference, fault, sizes
from parity.judging.distance.drift import Drift
from parity.judging.distance.factors import SENTINEL, SENTINEL_GAP
from parity.judging.distance.measured import measured
from parity.judging.distance.noise import aside
from parity.judging.distance.power import wrong_answers
from parity.judging.distance.sentinels import infinities_apart, sentinels, without_sentinels
from parity.judging.passes.float32 import Float32, coarse_distances
from parity.judging.passes.float64 import compare_one
from parity.judging.where.parting import _alone
from parity.judging.where.starts import starts
from parity.recording import Array, Key, Provenance, Recording
from parity_tests.parity.made_recordings import MadeNoise, forward, recording, replayed

LOGITS = np.array([[0.3, -2.0, 0.0], [1.5, 0.01, -0.7]])
OUTPUT = Key("score", 0, "held out.output")
LOWEST = float(np.finfo(np.float64).min)
MASKS = (-1e9, -1e30, -65504.0, LOWEST, -np.inf, 1e9)


def masked(logits: Array, mask: float) -> Array:
    return np.where([True, True, False], logits, mask)


@pytest.mark.parametrize("mask", MASKS)
def test_a_mask_is_told_from_what_was_computed(mask: float) -> None:
    found = sentinels(masked(LOGITS, mask))
    assert found is not None
    assert found.tolist() == [[False, False, True]] * 2
    assert without_sentinels(OUTPUT, masked(LOGITS, mask)).tolist() == [[0.3, -2.0, 0.0], [1.5, 0.01, 0.0]]


@pytest.mark.parametrize("mask", MASKS)
def test_beside_a_mask_what_was_computed_counts_in_its_own_size(mask: float) -> None:
    right, wrong = masked(LOGITS, mask), masked(LOGITS * 1.001, mask)
    assert difference(right, right, 2.0, OUTPUT) == 0
    assert difference(right, wrong, 2.0, OUTPUT) == pytest.approx(0.001)


def test_in_the_size_of_the_mask_it_would_be_nothing() -> None:
    assert difference(masked(LOGITS, -1e9), masked(LOGITS * 1.001, -1e9), 1e9) < 1e-11


def test_beside_two_masks_neither_has_a_part_in_the_size() -> None:
    right = np.array([0.3, -2.0, -1e5, -1e9])
    assert without_sentinels(OUTPUT, right).tolist() == [0.3, -2.0, 0.0, 0.0]
    assert difference(right, right * [1.001, 1, 1, 1], 2.0, OUTPUT) == pytest.approx(0.00015)


def test_a_mask_that_was_added_is_one_too() -> None:
    mask = np.array([0, 0, -1e9])
    right = LOGITS + mask
    assert difference(right, right * (1 + 2e-16), 2.0, OUTPUT) < 1e-15
    assert difference(right, LOGITS * 1.001 + mask, 2.0, OUTPUT) == pytest.approx(0.001)


def test_another_mask_differs() -> None:
    right = masked(LOGITS, -1e9)
    assert difference(right, masked(LOGITS, -2e9), 2.0, OUTPUT) > 0.1
    assert difference(right, masked(LOGITS, 1e9), 2.0, OUTPUT) > 1
    assert difference(right, LOGITS, 2.0, OUTPUT) > 1e6
    assert difference(right, masked(LOGITS[:, ::-1], -1e9)[:, ::-1], 2.0, OUTPUT) > 1e6


def test_the_lowest_number_of_each_dtype_is_the_same_mask() -> None:
    wide, narrow = masked(LOGITS, LOWEST), masked(LOGITS, float(np.finfo(np.float32).min)).astype(np.float32)
    assert difference(narrow, wide, 2.0, OUTPUT) < 1e-7
    assert difference(masked(LOGITS, -LOWEST), wide, 2.0, OUTPUT) > 1
    # An infinity is no number.
    assert difference(masked(LOGITS, -np.inf), wide, 2.0, OUTPUT) == np.inf


def test_infinities_have_to_stand_in_the_same_places_with_the_same_sign() -> None:
    right = masked(LOGITS, -np.inf)
    for wrong in (LOGITS, masked(LOGITS, np.inf), right[:, ::-1], np.full_like(LOGITS, -np.inf)):
        assert infinities_apart(right, wrong)
        assert difference(right, wrong, 2.0, OUTPUT) == np.inf
    assert not infinities_apart(right, right * 2)


def test_nan_beside_a_mask_is_never_near() -> None:
    wrong = masked(np.where(LOGITS == 0.3, np.nan, LOGITS), -1e9)
    assert not difference(wrong, wrong, 2.0, OUTPUT) <= 1e9
    assert fault(wrong, "jax", "float64", OUTPUT) == ("NaN on the jax side", "NaN")


def test_infinity_is_a_fault_but_for_a_mask_of_activations_and_outputs() -> None:
    array = masked(LOGITS, -np.inf)
    assert not fault(array, "torch", "float64", OUTPUT)
    assert fault(-array, "torch", "float64", OUTPUT) == ("infinity on the torch side", "infinity")
    for key in (Key("loss", 0, "loss"), Key("backward", 0, "w"), Key("trajectory", 0, "w"), None):
        assert fault(array, "torch", "float64", key) == ("infinity on the torch side", "infinity")


LARGE = {
    "large numbers of all sizes": np.geomspace(1e-3, 1e9, 40),
    "large numbers alone": np.full(3, 1e9),
    "a number below the gap": np.array([1.0, SENTINEL_GAP, 0.99 * SENTINEL_GAP**2, 1.0]),
    "nothing large": np.array([1e-9, 0.5 * SENTINEL]),
    "what rounding left of sums of large numbers": np.array([3.1e5, 2.7e5, 1e-11, -4e-12]),
    "nothing at all": np.zeros((0, 3)),
}


@pytest.mark.parametrize("array", LARGE.values(), ids=LARGE)
def test_what_was_computed_is_no_sentinel(array: Array) -> None:
    assert sentinels(array) is None
    assert apart(array, array * 2, OUTPUT) == apart(array, array * 2)


def recorded(array: Array) -> Recording:
    found = Recording(Provenance("torch", {}, "cpu", "x", "float64", "float32", True))
    found.add("score", 0, {OUTPUT.tensor: array})
    return found


def test_a_mask_has_no_part_in_the_scale_of_an_output_but_in_that_of_a_parameter() -> None:
    recording = recorded(masked(LOGITS, -1e9))
    recording.add("trajectory", 0, {"weight": masked(LOGITS, -1e9)})
    found = sizes(recording)
    assert found == {OUTPUT: 2.0, Key("trajectory", 0, "weight"): 1e9}


def test_a_mask_has_no_power() -> None:
    answers = wrong_answers(recorded(masked(LOGITS, -1e30)), Scales({OUTPUT: 2.0}, frozenset()), {})[OUTPUT]
    assert answers == {"sign": 2.0, "zero": 1.0}
    nothing = wrong_answers(recorded(masked(LOGITS * 0, -np.inf)), Scales({OUTPUT: 0.0}, frozenset()), {})[OUTPUT]
    assert nothing == {"sign": 0.0, "zero": 0.0}


# Wherever a tensor is judged


PLACE = Key("forward", 0, "fc.output")
RIGHT = masked(LOGITS, -1e30)
SINGLE = RIGHT.astype("float32")
"""Off by 1e22 where the mask stands, which is nothing of its size."""
SCALES = Scales({PLACE: 2.0}, frozenset())
NEAR = 2.0**-20


def test_the_float64_rule_takes_a_mask_in_its_own_size() -> None:
    assert compare_one(PLACE, RIGHT, RIGHT * (1 + 2e-16), SCALES).outcome == "agree"
    assert compare_one(PLACE, RIGHT, masked(LOGITS * (1 + 1e-9), -1e30), SCALES).outcome == "differ"


def test_so_do_the_float32_rule_and_what_a_recording_keeps_for_it() -> None:
    judge, single = forward(RIGHT), forward(SINGLE, "float32")
    wrong = forward(masked(LOGITS * (1 + 1e-3), -1e30).astype("float32"), "float32")
    rule = Float32(judge, SCALES, {}, lambda _: MadeNoise(judge))
    outcomes = {c.side: c.outcome for c in rule.compare({"torch": single, "jax": wrong})}
    assert outcomes == {"torch": "agree", "jax": "differ"}
    assert measured(single, judge, ()).distances[PLACE] < NEAR
    infinite = masked(LOGITS, -np.inf)
    assert measured(forward(infinite.astype("float32"), "float32"), forward(infinite), ()).distances[PLACE] < NEAR


def test_so_do_noise_and_the_coarse_distance() -> None:
    moved = forward(masked(LOGITS * (1 + 1e-9), -1e30 * (1 + 1e-9)))
    assert aside(forward(RIGHT), lambda _, into: replayed(moved, into), 0, 1)[PLACE] < 1e-8
    drift = Drift(forward(RIGHT))
    replayed(forward(SINGLE.astype("float64")), drift)
    assert coarse_distances(drift.apart, SCALES)[PLACE] < NEAR


def test_a_mask_that_stays_is_not_what_a_step_moves() -> None:
    later = Key("forward", 1, "fc.output")
    judge = recording(("forward", 0, {"fc.output": RIGHT}), ("forward", 1, {"fc.output": RIGHT}))
    answers = wrong_answers(judge, Scales({PLACE: 2.0, later: 2.0}, frozenset()), {})
    assert answers[later]["stale"] == 0


@pytest.mark.parametrize("scales", [SCALES, Scales({}, frozenset())], ids=["scaled", "without a scale"])
def test_a_difference_that_starts_beside_a_mask_is_told_and_the_mask_is_none(scales: Scales) -> None:
    def started(taught: Array) -> list[float]:
        return [
            start.difference
            for start in starts(forward(RIGHT), 0, {"fc.output": taught}, scales, frozenset(), casts={}, inside=())
        ]

    assert started(RIGHT * (1 + 2e-16)) == []
    assert started(masked(LOGITS * 1.001, -1e30)) == [pytest.approx(0.001)]


def test_what_a_place_does_alone_is_told_beside_a_mask() -> None:
    findings: Any = SimpleNamespace(judge=forward(RIGHT), scales=SCALES)
    assert _alone(findings, PLACE, {"fc.output": RIGHT * (1 + 2e-16)}) < 1e-15
    assert _alone(findings, PLACE, {"fc.output": masked(LOGITS * 1.001, -1e30)}) == pytest.approx(0.001)
