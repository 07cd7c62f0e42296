"""Runs: what is recorded of a training, of the same in lockstep with a judge, and of a side's own loop."""

from __future__ import annotations

from functools import cache, partial
from typing import Any

import numpy as np
import pytest

from parity.arrays.rounding import cast, moved, rounded
from parity.recording import (
    FRAMEWORKS,
    OBSERVED_STEPS,
    STAGES,
    USUAL_DTYPES,
    Array,
    Dtype,
    Framework,
    Key,
    Recording,
    State,
)
from parity.sides.live import LiveSide
from parity.sides.runs import coarse_run, digest, free_run, from_the_loss, gradients_of, lockstep, loop_run
from parity_tests.parity.tiny import live, same
from parity_tests.parity.tiny_draws import batches, draw_parameters

pytestmark = pytest.mark.usefixtures("compiled_once")

SEED, STEPS = 3, 5
NAMES = set(draw_parameters(0))
LAYERS = ["inner.input", "inner.output", "outer.input", "outer.output", "output"]
MOMENTS = {f"{moment}.{name}" for moment in ("exp_avg", "exp_avg_sq") for name in NAMES}

both_sides = pytest.mark.parametrize("framework", FRAMEWORKS)
both_dtypes = pytest.mark.parametrize("dtype", USUAL_DTYPES)


@cache
def side(framework: Framework, dtype: Dtype = "float64") -> LiveSide:
    return live(framework, dtype)


@cache
def judge() -> Recording:
    return free_run(side("torch"), SEED, STEPS)


def at(recording: Recording, stage: str, step: int, tensor: str) -> Array:
    found = recording.get(Key(stage, step, tensor))
    assert found is not None
    return found


# Digests


def test_a_digest_tells_values_dtypes_and_shapes_apart() -> None:
    array = np.arange(6.0)
    others = [
        array + np.eye(6)[5] * 1e-15,
        array.astype(np.float32),
        array.reshape(2, 3),
        array[::-1],
        array.view("i8"),
        array.astype("int64"),
        array.astype("int64")[::-1],
        array.astype(bool),
    ]
    assert len({digest(other).tobytes() for other in [array, *others]}) == 1 + len(others)
    assert digest(array).shape == (32,)
    assert digest(array).dtype == np.uint8


def test_a_digest_tells_whole_numbers_by_their_values_and_not_by_their_bits() -> None:
    numbers = np.array([0, 3, 127])
    dtypes = ("int8", "uint8", "int32", "uint32", "int64", "uint64")
    assert len({digest(numbers.astype(dtype)).tobytes() for dtype in dtypes}) == 1
    assert not same({"x": digest(np.array([-1]))}, {"x": digest(np.array([2**64 - 1], "uint64"))})


def test_a_digest_does_not_see_how_an_array_lies_in_memory() -> None:
    array = np.arange(6.0).reshape(2, 3)
    assert same({"x": digest(np.asfortranarray(array))}, {"x": digest(array)})


# A free run


SCORED_NAMES = {"scored.held out.inputs", "scored.held out.labels"}


@both_sides
def test_a_free_run_records_every_stage_and_tensor(framework: Framework) -> None:
    found = free_run(side(framework), SEED, STEPS)
    assert {key.stage for key in found.flow()} == set(STAGES)
    for step in range(STEPS):
        observed = step < OBSERVED_STEPS
        expected: dict[str, Any] = {
            "data": {"inputs", "labels"} | (SCORED_NAMES if step == 0 else set()),
            "trajectory": {"loss", "step", *NAMES, *MOMENTS, *(f"gradient.{name}" for name in NAMES)},
            "forward": set(LAYERS) if observed else set(),
            "loss": {"loss"} if observed else set(),
            "backward": NAMES | {"inner.input", "outer.input"} if observed else set(),
            "update": {"step", *NAMES, *MOMENTS} if observed else set(),
        }
        assert {stage: set(found.of(stage, step)) for stage in expected} == expected
    assert set(found.of("init", 0)) == NAMES
    assert set(found.of("score", 0)) == {"held out.output"}
    assert not [key for key in found.flow() if key.step >= STEPS]


@both_sides
def test_a_free_run_begins_at_the_draws_and_each_step_at_the_end_of_the_last(framework: Framework) -> None:
    found = free_run(side(framework), SEED, STEPS)
    assert same(found.of("init", 0), draw_parameters(SEED))
    for step, batch in enumerate(batches(SEED, STEPS)):
        before = found.state_before(step)
        loss, gradients, _ = side(framework).gradients(before.parameters, batch)
        after = side(framework).update(before, gradients)
        assert at(found, "trajectory", step, "loss") == loss
        assert same(gradients_of(found, step), gradients)
        reached = found.state_before(step + 1)
        assert same(reached.parameters | reached.optimizer, after.parameters | after.optimizer)


def test_a_free_run_can_begin_elsewhere_and_leave_out_the_data() -> None:
    initial = moved(draw_parameters(SEED), 1, 0)
    found = free_run(side("torch"), SEED, 2, initial, data=False)
    assert same(found.of("init", 0), initial)
    assert not found.of("data", 0)
    assert not same(found.state_before(2).parameters, judge().state_before(2).parameters)


def test_the_stages_of_a_step_tell_the_same_as_the_trajectory() -> None:
    for step in range(OBSERVED_STEPS):
        assert same(judge().of("backward", step) | gradients_of(judge(), step), judge().of("backward", step))
        assert at(judge(), "loss", step, "loss") == at(judge(), "trajectory", step, "loss")
        trajectory = judge().of("trajectory", step)
        assert same(judge().of("update", step), {name: trajectory[name] for name in judge().of("update", step)})


def test_the_score_is_of_the_parameters_at_the_end() -> None:
    batch = side("torch").scored(SEED)["held out"]
    output = side("torch").predict(judge().state_before(STEPS).parameters, batch)
    assert same(judge().of("score", 0), {"held out.output": output["output"]})


# What is held once


def test_a_gradient_of_the_same_bits_is_held_once() -> None:
    for step in range(OBSERVED_STEPS):
        for name in NAMES:
            seen, taken = at(judge(), "backward", step, name), at(judge(), "trajectory", step, f"gradient.{name}")
            assert taken is seen


# Gradients from the loss backwards


def test_gradients_are_told_from_the_loss_backwards() -> None:
    told = list(judge().of("backward", 0))
    assert told == ["outer.weight", "outer.bias", "outer.input", "inner.weight", "inner.bias", "inner.input"]


def test_a_layer_called_twice_or_never_is_told_where_its_gradients_are_whole() -> None:
    forward = ["tied.output", "block.input", "block.inner.input", "block.inner.output", "tied#2.input", "output"]
    parameters = dict.fromkeys(["token", "tied.weight", "block.scale", "block.uncalled.weight", "block.inner.weight"])
    cotangents = dict.fromkeys(["block.input", "block.inner.input", "tied#2.input"])
    assert list(from_the_loss(parameters, cotangents, forward)) == [  # type: ignore[arg-type]
        "tied#2.input", "block.inner.weight", "block.inner.input", "block.scale", "block.uncalled.weight",
        "block.input", "tied.weight", "token",
    ]  # fmt: skip


# In lockstep


@both_sides
def test_in_lockstep_every_step_begins_where_the_judge_stood(framework: Framework) -> None:
    found = lockstep(side(framework, "float32"), judge(), SEED, STEPS, data=True)
    running = side(framework, "float32")
    assert found.provenance.dtype == "float32"
    for step, batch in enumerate(batches(SEED, STEPS)):
        parameters, optimizer = (cast(arrays, "float32") for arrays in judge().state_before(step))
        gradients = running.gradients(parameters, batch)
        after = running.update(State(parameters, optimizer), cast(gradients_of(judge(), step), "float32"))
        assert same(gradients_of(found, step), gradients.parameters)
        assert same({name: at(found, "trajectory", step, name) for name in NAMES}, after.parameters)


@both_sides
def test_in_lockstep_float64_is_the_judge_again(framework: Framework) -> None:
    found = lockstep(side(framework), judge(), SEED, STEPS, data=True)
    assert set(found.flow()) == set(judge().flow())
    for key in found.flow():
        array, expected = (at(recording, *key) for recording in (found, judge()))
        assert array.dtype == expected.dtype
        np.testing.assert_allclose(array, expected, rtol=1e-9, atol=1e-12, err_msg=str(key))


def test_what_moves_the_parameters_moves_every_step() -> None:
    plain = lockstep(side("torch"), judge(), SEED, STEPS)
    aside = lockstep(side("torch"), judge(), SEED, STEPS, move=partial(moved, ulps=1, seed=1))
    for step in range(STEPS):
        apart = abs(at(aside, "trajectory", step, "inner.weight") - at(plain, "trajectory", step, "inner.weight"))
        assert 0 < apart.max() < 1e-14
    assert same(aside.of("init", 0), plain.of("init", 0))


def test_one_precision_lower_every_step_is_apart_by_that_precision() -> None:
    coarse = Recording(judge().provenance)
    coarse_run(side("torch"), judge(), SEED, STEPS, 10, coarse)
    assert {step for _, step in coarse.groups} == set(range(OBSERVED_STEPS))
    assert coarse.stages == {"forward", "loss", "backward"}
    for step in range(OBSERVED_STEPS):
        for tensor in LAYERS[:-1]:
            array, expected = (at(recording, "forward", step, tensor) for recording in (coarse, judge()))
            assert same({tensor: array}, {tensor: rounded(array, 10)})
            assert 1e-5 < abs(array - expected).max() / abs(expected).max() < 1e-2


@both_sides
@pytest.mark.parametrize("bits", [10, 23])
def test_a_batch_in_half_precision_is_rounded_too_as_the_side_holds_it(framework: Framework, bits: int) -> None:
    def halves(seed: int, steps: int) -> list[Any]:
        return [batch | {"inputs": batch["inputs"].astype("float16")} for batch in batches(seed, steps)]

    running = live(framework, batches=halves)
    judged = free_run(running, SEED, 1)
    coarse = Recording(judged.provenance)
    coarse_run(running, judged, SEED, 1, bits, coarse)
    # float16 has 10 mantissa bits: nothing of it is lost.
    assert np.array_equal(at(coarse, "forward", 0, "inner.input"), at(judged, "forward", 0, "inner.input"))


# A side's own loop


def loop_of(losses: Any, end: State, called: list[Any]) -> LiveSide:
    def train(loop: str, **settings: Any) -> tuple[Any, State]:
        called.append((loop, settings))
        return losses, end

    return live("torch", "float32", train=train, loops=("stepped",))


def test_a_loop_is_asked_for_its_part_of_the_run_and_recorded_there() -> None:
    start, end = State({"m": np.zeros(2)}, {}), State({"m": np.ones(2)}, {"step": np.asarray(12)})
    called: list[Any] = []
    found = loop_run(loop_of(np.array([0.5, 0.25]), end, called), "stepped", SEED, 10, 2, start)
    given = {"seed": SEED, "dtype": "float32", "device": "cpu", "precision": "float32"}
    assert called == [("stepped", given | {"state": start, "start": 10, "count": 2})]
    assert [(str(key), at(found, *key).tolist()) for key in found.flow()] == [
        ("trajectory, step 10, loss", 0.5),
        ("trajectory, step 11, loss", 0.25),
        ("trajectory, step 11, m", [1.0, 1.0]),
        ("trajectory, step 11, step", 12),
    ]
