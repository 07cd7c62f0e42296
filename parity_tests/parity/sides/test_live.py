"""Live sides: both frameworks' halves of the tiny pair do what NumPy says, and leave everything else as it was."""

from __future__ import annotations

import sys
from functools import cache

import jax
import numpy as np
import pytest
import torch

from parity.arrays.rounding import cast, rounded
from parity.errors import MissingFramework, NotCheckable
from parity.pair.batches import random_batches
from parity.pair.pair import Pair
from parity.recording import FRAMEWORKS, OTHER, USUAL_DTYPES, Array, Arrays, Batch, Dtype, Framework, State
from parity.sides.live import LiveSide, live_side, parameters_moved
from parity_tests.parity.tiny import live, planted, same
from parity_tests.parity.tiny_draws import EXAMPLES, batches, draw_parameters, scored

pytestmark = pytest.mark.usefixtures("compiled_once")

NAMES = ["inner.weight", "inner.bias", "outer.weight", "outer.bias"]
SMALL = {"model": "Small", "loss": "loss", "optimizer": "optimizer"}
CLOSE: dict[Dtype, float] = {"float64": 1e-13, "float32": 2e-5}

both_sides = pytest.mark.parametrize("framework", FRAMEWORKS)
both_dtypes = pytest.mark.parametrize("dtype", USUAL_DTYPES)


@cache
def right(framework: Framework, dtype: Dtype = "float64") -> LiveSide:
    """A side of which nothing is replaced; compiled once for all tests."""
    return live(framework, dtype)


def by_hand(parameters: Arrays, batch: Batch) -> tuple[Array, Arrays, Arrays, Arrays]:
    """Loss, forward, gradients and cotangents of the tiny pair in NumPy float64."""
    inputs, labels = batch["inputs"], batch["labels"]
    hidden = inputs @ parameters["inner.weight"].T + parameters["inner.bias"]
    active = np.maximum(hidden, 0)
    logits = active @ parameters["outer.weight"].T + parameters["outer.bias"]
    shares = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    rows = np.arange(EXAMPLES)
    loss = -np.log(shares[rows, labels]).mean()
    shares[rows, labels] -= 1
    to_logits = shares / EXAMPLES
    to_active = to_logits @ parameters["outer.weight"]
    to_hidden = to_active * (hidden > 0)
    forward = {"inner.input": inputs, "inner.output": hidden, "outer.input": active, "outer.output": logits}
    gradients = {"inner.weight": to_hidden.T @ inputs, "inner.bias": to_hidden.sum(axis=0)}
    gradients |= {"outer.weight": to_logits.T @ active, "outer.bias": to_logits.sum(axis=0)}
    return loss, forward, gradients, {"inner.input": to_hidden @ parameters["inner.weight"], "outer.input": to_active}


def expect_close(found: Arrays, expected: Arrays, dtype: Dtype) -> None:
    """Same names in the same order, the run's dtype, and values within rounding."""
    assert list(found) == list(expected)
    for name, array in expected.items():
        assert found[name].dtype == dtype
        np.testing.assert_allclose(found[name], array, rtol=0, atol=CLOSE[dtype] * np.abs(array).max(), err_msg=name)


# One pass


@both_dtypes
@both_sides
def test_a_pass_records_every_layer_as_numpy_computes_it(framework: Framework, dtype: Dtype) -> None:
    parameters, batch = draw_parameters(1), batches(1, 1)[0]
    loss, forward, gradients, cotangents = by_hand(parameters, batch)
    seen = right(framework, dtype).observe(cast(parameters, dtype), batch)
    expect_close(seen.forward, forward | {"output": forward["outer.output"]}, dtype)
    expect_close(seen.gradients.parameters, gradients, dtype)
    expect_close(seen.cotangents, cotangents, dtype)
    assert seen.gradients.loss.dtype == dtype
    assert seen.gradients.loss.shape == ()
    assert seen.gradients.loss == pytest.approx(loss, rel=CLOSE[dtype])


@both_dtypes
@both_sides
def test_a_pass_forward_records_the_layers_that_a_whole_pass_does(framework: Framework, dtype: Dtype) -> None:
    parameters, batch = cast(draw_parameters(1), dtype), batches(1, 1)[0]
    side = right(framework, dtype)
    expect_close(side.forward(parameters, batch), side.observe(parameters, batch).forward, dtype)


@both_sides
def test_a_coarse_pass_forward_rounds_every_activation(framework: Framework) -> None:
    parameters, batch = draw_parameters(3), batches(3, 1)[0]
    fine, coarse = (right(framework).forward(parameters, batch, bits) for bits in (None, 10))
    for name, array in coarse.items():
        assert same({name: array}, {name: rounded(array, 10)})
        assert 0 < np.abs(array - fine[name]).max() <= 2**-8 * np.abs(array).max()


@both_sides
def test_a_pass_without_layers_has_the_same_loss_and_gradients(framework: Framework) -> None:
    parameters, batch = draw_parameters(2), batches(2, 1)[0]
    seen, plain = (getattr(right(framework), name)(parameters, batch) for name in ("observe", "gradients"))
    expect_close(seen.gradients.parameters, plain.parameters, "float64")
    assert seen.gradients.loss == pytest.approx(plain.loss, rel=CLOSE["float64"])


@both_sides
def test_a_pass_changes_neither_parameters_nor_batch(framework: Framework) -> None:
    parameters, batch = draw_parameters(2), batches(2, 1)[0]
    right(framework).observe(parameters, batch)
    assert same(parameters, draw_parameters(2))
    assert same(batch, batches(2, 1)[0])


@both_sides
def test_a_coarse_pass_rounds_every_activation_and_only_those(framework: Framework) -> None:
    parameters, batch = draw_parameters(3), batches(3, 1)[0]
    side = right(framework)
    fine, coarse = side.observe(parameters, batch), side.observe(parameters, batch, bits=10)
    for name, array in coarse.forward.items():
        if name != "output":
            assert same({name: array}, {name: rounded(array, 10)})
            assert 0 < np.abs(array - fine.forward[name]).max() <= 2**-8 * np.abs(array).max()
    apart = np.abs(coarse.gradients.parameters["inner.weight"] - fine.gradients.parameters["inner.weight"])
    assert 0 < apart.max() < 1e-2
    plain = side.gradients(parameters, batch, bits=10)
    expect_close(plain.parameters, coarse.gradients.parameters, "float64")


# Steps


@both_dtypes
@both_sides
def test_initial_parameters_are_the_draws_bit_for_bit(framework: Framework, dtype: Dtype) -> None:
    found = right(framework, dtype).initial(4)
    assert list(found) == NAMES
    assert same(found, cast(draw_parameters(4), dtype))


@both_dtypes
@both_sides
def test_a_run_is_its_gradients_and_updates_one_after_the_other(framework: Framework, dtype: Dtype) -> None:
    side = right(framework, dtype)
    drawn, state = side.batches(5, 4), State(side.initial(5), {})
    given = dict(state.parameters)
    for batch, step in zip(drawn, side.run(given, drawn), strict=True):
        gradients = side.gradients(state.parameters, batch)
        state = side.update(state, gradients.parameters)
        assert same(step.gradients.parameters, gradients.parameters)
        assert step.gradients.loss == gradients.loss
        assert same(step.state.parameters, state.parameters)
        assert same(step.state.optimizer, state.optimizer)
    assert same(given, cast(draw_parameters(5), dtype))


@both_dtypes
@both_sides
def test_losses_are_those_of_the_run(framework: Framework, dtype: Dtype) -> None:
    side = right(framework, dtype)
    drawn, given = side.batches(5, 4), side.initial(5)
    expected = [float(step.gradients.loss) for step in side.run(given, drawn)]
    assert side.losses(given, drawn) == expected
    assert len(set(expected)) == 4


@both_sides
def test_a_step_that_was_given_out_is_not_overwritten_by_the_next(framework: Framework) -> None:
    side = right(framework)
    steps = side.run(side.initial(5), side.batches(5, 2))
    first = next(steps)
    kept = {name: array.copy() for name, array in (first.state.parameters | first.state.optimizer).items()}
    next(steps)
    assert same(first.state.parameters | first.state.optimizer, kept)


@both_sides
def test_a_prediction_is_the_output_of_the_pass(framework: Framework) -> None:
    parameters, batch = draw_parameters(6), scored(6)["held out"]
    assert right(framework).predict(parameters, batch)["output"] == pytest.approx(
        by_hand(parameters, batch)[1]["outer.output"]
    )


@both_dtypes
@both_sides
def test_a_batch_is_read_back_as_the_framework_holds_it(framework: Framework, dtype: Dtype) -> None:
    batch = batches(7, 1)[0] | {"mask": np.array([True, False])}
    expected = cast(batch, dtype)
    if framework == "jax" and dtype == "float32":
        expected["labels"] = expected["labels"].astype("int32")
    assert same(right(framework, dtype).seen(batch), expected)


# Conditions


@both_dtypes
@both_sides
def test_both_sides_run_under_equal_conditions(framework: Framework, dtype: Dtype) -> None:
    found = right(framework, dtype).provenance()
    expected = {"device": "cpu", "dtype": dtype, "precision": "float32", "x64": dtype == "float64"}
    assert (found.framework, found.conditions()) == (framework, expected)
    assert {framework, "numpy", "python"} <= found.versions.keys()


@both_dtypes
@both_sides
def test_settings_of_the_caller_neither_come_in_nor_get_lost(framework: Framework, dtype: Dtype) -> None:
    side, parameters, batch = right(framework, dtype), cast(draw_parameters(8), dtype), batches(8, 1)[0]
    usual = side.gradients(parameters, batch), side.provenance()
    torch.set_float32_matmul_precision("medium")
    try:
        with jax.enable_x64(dtype == "float32"), jax.default_matmul_precision("bfloat16"):
            unusual = side.gradients(parameters, batch), side.provenance()
            assert torch.get_float32_matmul_precision() == "medium"
            assert jax.config.values["jax_default_matmul_precision"] == "bfloat16"
    finally:
        torch.set_float32_matmul_precision("highest")
    assert unusual[1] == usual[1]
    assert same(unusual[0].parameters, usual[0].parameters)


@both_sides
def test_a_part_that_raises_in_the_middle_leaves_no_setting_changed(framework: Framework) -> None:
    def loss(model: object, batch: object) -> None:
        raise ValueError("not today")

    side = live(framework, loss=loss)
    with pytest.raises(NotCheckable, match=f"the {framework} side's loss failed: ValueError: not today"):
        side.observe(draw_parameters(0), batches(0, 1)[0])
    with pytest.raises(NotCheckable, match=f"the {framework} side's loss failed: ValueError: not today"):
        next(iter(side.run(draw_parameters(0), batches(0, 1))))
    # That nothing is left changed is looked after by a fixture of all tests.


# What is not there


@both_sides
def test_a_missing_framework_is_told_with_what_to_install(
    framework: Framework, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = {"torch": "torch", "jax": "optax"}[framework]
    monkeypatch.delitem(sys.modules, f"parity.{framework}_side.live")
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(MissingFramework, match=rf"the {framework} side needs {package}, .*pip install .*{framework}\]"):
        live(framework)


@both_sides
def test_a_missing_gpu_is_told(framework: Framework, monkeypatch: pytest.MonkeyPatch) -> None:
    def none(*_: object) -> None:
        raise RuntimeError("no such backend")

    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(jax, "devices", none)
    with pytest.raises(NotCheckable, match="use --device cpu"):
        live_side(planted(framework).side(framework), framework, "float64", "gpu")


@both_sides
def test_why_a_loop_cannot_run_is_asked_of_the_side(framework: Framework) -> None:
    side = live(framework, loops=("captured",), missing=lambda loop, device: f"{loop} needs more than {device}")
    assert side.missing("captured") == "captured needs more than cpu"
    assert right(framework).missing("stepped") == ""


@both_sides
def test_asking_for_dtypes_and_for_what_places_give_leaves_later_passes_as_they_were(framework: Framework) -> None:
    side, batch = live(framework, "float64"), batches(0, 1)[0]
    parameters = side.initial(0)
    before = side.observe(parameters, batch)
    assert side.lowered(parameters, batch) == []
    side.taught(parameters, batch, before.forward)
    after = side.observe(parameters, batch)
    assert list(after.forward) == list(before.forward)
    assert list(after.cotangents) == list(before.cotangents)


@both_sides
def test_parameters_move_and_buffers_stay(framework: Framework) -> None:
    parts = {name: f"parity_tests.parity.small_{framework}:{called}" for name, called in SMALL.items()}
    other = {name: f"parity_tests.parity.small_{OTHER[framework]}:{called}" for name, called in SMALL.items()}
    pair = Pair(**{framework: parts, OTHER[framework]: other}, batches=random_batches(inputs=(4, 5), steps=1))
    side = live_side(pair.side(framework), framework, "float64", "cpu")
    held = side.initial(0)
    found = parameters_moved(side, held, lambda arrays: {name: array + 1 for name, array in arrays.items()})
    stay = {"norm.running_mean", "norm.running_var", "norm.num_batches_tracked"}
    assert list(found) == list(held)
    assert {name for name in found if np.array_equal(found[name], held[name])} == stay & held.keys()
