"""A distance stands for a float32 tensor where it can; whatever it cannot stand for is kept, and found."""

from __future__ import annotations

import numpy as np
import pytest

from parity.judging.distance.difference import scales
from parity.judging.distance.measured import distance_told, measured
from parity.judging.passes.float32 import Float32
from parity.recording import Array, Arrays, Key, Recording
from parity_tests.parity.made_recordings import MadeNoise, recording

W = np.array([1.0, -2.0])
JUDGE = recording(
    ("data", 0, {"x": np.arange(3, dtype=np.uint8)}), ("init", 0, {"w": W}), ("forward", 0, {"fc.output": W}),
    ("update", 0, {"w": W, "step": np.array(1), "exp_avg.w": W}), ("score", 0, {"held out.output": W}),
)  # fmt: skip


def lower(**others: Array) -> Recording:
    """The judge in float32, some of its updated tensors replaced."""
    groups: list[tuple[str, int, Arrays]] = []
    for (stage, step), group in JUDGE.groups.items():
        found = {name: array.astype(np.float32) if array.dtype.kind == "f" else array for name, array in group.items()}
        groups.append((stage, step, found | (others if stage == "update" else {})))
    return recording(*groups, dtype="float32")


OFF = {"w": np.array([1.0, -2.5], np.float32)}


def test_distances_are_absolute_and_stand_for_all_that_is_only_measured() -> None:
    found = measured(lower(**OFF), JUDGE, ())
    assert found.flow() == lower(**OFF).flow()
    assert distance_told(found, Key("update", 0, "w")) == 0.5
    assert distance_told(found, Key("forward", 0, "fc.output")) == 0.0
    kept = {str(key) for key in found.flow() if found.get(key) is not None}
    assert kept == {"data, step 0, x", "init, step 0, w", "update, step 0, step", "score, step 0, held out.output"}
    assert all((distance_told(found, key) is None) == (str(key) in kept) for key in found.flow())
    assert distance_told(lower(**OFF), Key("update", 0, "w")) is None


WRONG = {
    "NaN": np.array([1.0, np.nan], np.float32),
    "infinity": np.array([1.0, np.inf], np.float32),
    "float64": W,
    "another shape": np.ones(3, np.float32),
    "whole numbers": np.array([1, 2]),
}


@pytest.mark.parametrize("recorded", ["torch", "jax", "both"])
@pytest.mark.parametrize("wrong", [None, *WRONG])
def test_the_comparisons_are_those_of_the_tensors_themselves(recorded: str, wrong: str | None) -> None:
    made = lower(**({"exp_avg.w": WRONG[wrong]} if wrong else OFF))
    whole = {"torch": made, "jax": lower()}
    told = {fw: measured(side, JUDGE, ()) if recorded in (fw, "both") else side for fw, side in whole.items()}
    expected, found = (
        Float32(JUDGE, scales([JUDGE]), {}, lambda _: MadeNoise(JUDGE)).compare(sides)  # type: ignore[arg-type]
        for sides in (whole, told)
    )
    outcomes = [(c.key, c.side, c.outcome) for c in found]
    if wrong == "whole numbers":
        # Where one side's numbers are whole, both are compared bit by bit, and a distance is no number.
        assert ("differ", Key("update", 0, "exp_avg.w")) in [(c.outcome, c.key) for c in found]
    else:
        assert outcomes == [(c.key, c.side, c.outcome) for c in expected]
        assert [c.difference for c in found] == [c.difference for c in expected]
    assert any(c.outcome == "differ" for c in found)


def test_of_a_frozen_parameter_the_bits_are_kept() -> None:
    found = measured(lower(**OFF), JUDGE, frozen={"w"})
    np.testing.assert_array_equal(found.of("update", 0)["w"], OFF["w"])
    assert distance_told(found, Key("update", 0, "w")) is None
    assert distance_told(found, Key("update", 0, "exp_avg.w")) == 0.0
