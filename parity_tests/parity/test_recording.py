"""Recordings: names in the order of the flow, states between steps, and what must be equal for a comparison."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from parity.recording import STAGES, Array, Key, Provenance, Recording, keys_of

PROVENANCE = Provenance("torch", {"torch": "2.12"}, "cpu", "a processor", "float64", "float32", True)


def number(value: float) -> Array:
    return np.asarray(value)


def trained() -> Recording:
    """Two steps of a run with one parameter and a moment, written out of order."""
    recording = Recording(PROVENANCE)
    recording.add("score", 0, {"test.output": number(9)})
    for step in (1, 0):
        recording.add("trajectory", step, {"loss": number(step)})
        recording.add("trajectory", step, {"m": number(0.1)}, prefix="gradient.")
        recording.add("trajectory", step, {"m": number(step + 1), "exp_avg.m": number(0.5), "step": number(step + 1)})
        recording.add("update", step, {"m": number(step + 1)})
        recording.add("forward", step, {"z.output": number(0), "a.output": number(0)})
        recording.add("data", step, {"x": number(0)})
    recording.add("init", 0, {"m": number(0)})
    return recording


def test_the_flow_is_data_init_then_step_after_step_then_trajectory_and_score() -> None:
    places = list(dict.fromkeys((key.stage, key.step) for key in trained().flow()))
    assert places == [
        *[("data", 0), ("data", 1), ("init", 0), ("forward", 0), ("update", 0), ("forward", 1), ("update", 1)],
        *[("trajectory", 0), ("trajectory", 1), ("score", 0)],
    ]


def test_within_a_step_the_stages_follow_each_other() -> None:
    keys = [Key(stage, 1, "t") for stage in reversed(STAGES)]
    assert [key.stage for key in sorted(keys, key=Key.flow)] == list(STAGES)


def test_tensors_of_one_stage_stay_in_the_order_in_which_they_came() -> None:
    assert [key.tensor for key in trained().flow() if key.stage == "forward"] == ["z.output", "a.output"] * 2


def test_names_that_only_one_recording_has_are_among_the_names() -> None:
    first, second = Recording(PROVENANCE), Recording(PROVENANCE)
    first.add("forward", 0, {"b": number(0), "shared": number(0)})
    second.add("forward", 0, {"shared": number(0), "c": number(0)})
    second.add("data", 0, {"x": number(0)})
    assert [key.tensor for key in keys_of(first, second)] == ["x", "b", "shared", "c"]


def test_an_array_is_found_by_its_name_and_nothing_elsewhere() -> None:
    recording = trained()
    assert recording.get(Key("trajectory", 1, "m")) == 2
    assert recording.get(Key("trajectory", 1, "c")) is None
    assert recording.get(Key("trajectory", 2, "m")) is None
    assert recording.of("update", 7) == {}
    assert str(Key("trajectory", 1, "m")) == "trajectory, step 1, m"


def test_before_the_first_step_the_optimizer_is_fresh() -> None:
    parameters, optimizer = trained().state_before(0)
    assert parameters == {"m": 0}
    assert optimizer == {}


def test_the_state_before_a_step_has_parameters_and_moments_but_neither_loss_nor_gradients() -> None:
    parameters, optimizer = trained().state_before(2)
    assert parameters == {"m": 2}
    assert optimizer == {"exp_avg.m": 0.5, "step": 2}


@pytest.mark.parametrize(
    ("entry", "value"), [("device", "gpu"), ("dtype", "float32"), ("precision", "tf32"), ("x64", False)]
)
def test_these_conditions_have_to_be_equal(entry: str, value: object) -> None:
    other = replace(PROVENANCE, **{entry: value})  # type: ignore[arg-type]
    assert other.conditions() != PROVENANCE.conditions()


def test_versions_and_names_do_not_have_to_be_equal() -> None:
    other = replace(PROVENANCE, framework="jax", versions={"jax": "0.10"}, device_name="another processor")
    assert other.conditions() == PROVENANCE.conditions()


def test_the_provenance_is_written_whole() -> None:
    assert Provenance(**json.loads(json.dumps(PROVENANCE.document()))) == PROVENANCE


def test_a_name_tells_gradients_and_what_a_step_has_made() -> None:
    keys = [
        Key("backward", 0, "fc.input"),
        Key("trajectory", 0, "gradient.w"),
        Key("trajectory", 0, "w"),
        Key("init", 0, "w"),
    ]
    assert [key.is_gradient for key in keys] == [True, True, False, False]
    assert [key.after_update for key in [*keys, Key("update", 0, "w")]] == [False, True, True, False, True]
