"""A small training is kept whole; of a large one, what lockstep starts from, and nothing that the batch has already."""

from __future__ import annotations

import numpy as np
import pytest

import parity.golden.kept as kept_module
from parity.golden.kept import Kept, kept_of
from parity.recording import Batch, Recording
from parity_tests.parity.made_recordings import recording
from parity_tests.parity.tiny import same

STEPS = 100
BATCHES: list[Batch] = [{"x": np.full((2, 3), float(step)), "labels": np.arange(2)} for step in range(STEPS)]


def training() -> Recording:
    found = recording(("init", 0, {"w": np.ones(3)}))
    for step, batch in enumerate(BATCHES):
        found.add("data", step, {"x": np.zeros(32, np.uint8)})
        if step < 3:
            layers = {"fc1.input": batch["x"], "fc2.input": batch["x"] + (step == 2), "output": batch["x"]}
            found.add("forward", step, layers)
            found.add("backward", step, {"w": np.ones(3), "fc1.input": batch["x"], "fc2.input": batch["x"]})
        found.add("trajectory", step, {"loss": np.array(1.0), "gradient.w": np.ones(3), "w": np.full(3, step)})
    found.add("score", 0, {"held out.output": np.ones((2, 2))})
    return found


def test_a_small_training_is_kept_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    size = sum(array.nbytes for group in training().groups.values() for array in group.values())
    monkeypatch.setattr(kept_module, "SMALL_BYTES", size)
    kept = kept_of(training(), BATCHES, STEPS)
    assert (kept.steps, kept.given) == (tuple(range(STEPS)), {})
    found = kept.of(training(), STEPS)
    assert found.groups.keys() == training().groups.keys()
    assert all(same(found.groups[name], group) for name, group in training().groups.items())
    monkeypatch.setattr(kept_module, "SMALL_BYTES", size - 1)
    assert kept_of(training(), BATCHES, STEPS).steps == (0, 1, 2, 10, 50)


def test_of_a_large_one_lockstep_can_start_where_it_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kept_module, "SMALL_BYTES", 0)
    kept = kept_of(training(), BATCHES, STEPS)
    found = kept.of(training(), STEPS)
    assert kept.given == {"fc1.input": "x"}, "fc2's input is the batch at two steps only, and an output is none"
    for step in kept.steps:
        assert same(found.state_before(step).parameters, training().state_before(step).parameters)
        assert same(found.of("trajectory", step), training().of("trajectory", step))
    assert same(found.state_before(STEPS).parameters, training().state_before(STEPS).parameters)
    whole = [step for step in range(STEPS) if len(found.of("trajectory", step)) > 1]
    assert whole == [0, 1, 2, 9, 10, 49, 50, 99]
    assert all("loss" in found.of("trajectory", step) for step in range(STEPS))
    assert all(found.of("data", step) for step in range(STEPS))
    assert found.of("backward", 0).keys() == {"w", "fc2.input"}
    assert found.of("score", 0)


def test_what_the_batch_has_already_comes_from_there() -> None:
    kept = Kept((0, 1, 2), {"fc1.input": "x"})
    stored = kept.without_given(training())
    assert stored.of("forward", 0).keys() == {"fc2.input", "output"}
    found = kept.with_given(stored, BATCHES)
    for step in range(3):
        assert same(found.of("forward", step), training().of("forward", step))
        assert next(iter(found.of("forward", step))) == "fc1.input"
    without: list[Batch] = [{"labels": batch["labels"]} for batch in BATCHES]
    assert kept.with_given(stored, without).of("forward", 0).keys() == {"fc2.input", "output"}
