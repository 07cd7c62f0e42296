"""The state of Optax optimizers out into canonical arrays and back."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import numpy as np
import optax
import pytest

from parity.arrays.rounding import cast
from parity.errors import NotCheckable
from parity.jax_side.optimizer.state import state_in, state_out, with_count
from parity.recording import USUAL_DTYPES, Arrays, Dtype
from parity_tests.parity.tiny import same
from parity_tests.parity.tiny_draws import draw_parameters
from parity_tests.parity.tiny_jax import Tiny, from_arrays, to_arrays

Optimizer = Callable[[], optax.GradientTransformation]


def labels(model: Any) -> Any:
    """The layer that a parameter belongs to."""
    return jax.tree_util.tree_map_with_path(
        lambda path, _: "inner" if "inner" in jax.tree_util.keystr(path) else "outer", model
    )


def masked() -> optax.GradientTransformation:
    """Only the second layer is trained."""
    return optax.partition({"inner": optax.set_to_zero(), "outer": optax.adam(0.03)}, labels)


OPTIMIZERS: dict[str, Optimizer] = {
    "adam": lambda: optax.adam(0.03),
    "adamw": lambda: optax.adamw(0.03),
    "adam by a schedule": lambda: optax.adam(optax.linear_schedule(0.03, 0.0, 10)),
    "clipped adam": lambda: optax.chain(optax.clip_by_global_norm(1.0), optax.adam(0.03)),
    "sgd with momentum": lambda: optax.sgd(0.03, momentum=0.9),
    "sgd": lambda: optax.sgd(0.03),
    "rmsprop": lambda: optax.rmsprop(0.03),
    "adafactor": lambda: optax.adafactor(0.03, min_dim_size_to_factor=2),
    "adam by the names of its parts": lambda: optax.named_chain(("clip", optax.clip(1.0)), ("adam", optax.adam(0.03))),
    "adam with two rates": lambda: optax.partition({"inner": optax.adam(0.03), "outer": optax.adam(0.01)}, labels),
}
every_optimizer = pytest.mark.parametrize("make", OPTIMIZERS.values(), ids=OPTIMIZERS.keys())
every_dtype = pytest.mark.parametrize("dtype", USUAL_DTYPES)


class Training:
    """The tiny model with one optimizer, in one dtype."""

    def __init__(self, make: Optimizer, dtype: Dtype = "float64") -> None:
        self.dtype = dtype
        transformation = make()
        self.fresh = jax.jit(transformation.init)
        self.next = jax.jit(transformation.update)

    def model(self, parameters: Arrays) -> Tiny:
        return from_arrays(parameters, self.dtype, "cpu")

    def step(self, model: Tiny, state: Any, number: int) -> tuple[Tiny, Any]:
        gradients = self.model(draw_parameters(100 + number))
        updates, state = self.next(gradients, state, model)
        return optax.apply_updates(model, updates), state

    def out(self, model: Tiny, state: Any) -> Arrays:
        return state_out(state, model, to_arrays)

    def back(self, model: Tiny, arrays: Arrays) -> Any:
        return state_in(self.fresh(model), model, arrays, self.model, to_arrays)


@every_optimizer
def test_a_state_comes_back_bit_for_bit_and_goes_on_as_if_it_had_never_left(make: Optimizer) -> None:
    with jax.enable_x64(True):
        training = Training(make)
        model = training.model(draw_parameters(0))
        state = training.fresh(model)
        for number in range(3):
            model, state = training.step(model, state, number)
        out = training.out(model, state)
        again = training.back(training.model(to_arrays(model)), out)
        assert jax.tree.structure(again) == jax.tree.structure(state)  # type: ignore[operator]
        jax.tree.map(np.testing.assert_array_equal, again, state)
        assert same(training.out(model, again), out)
        (went_on, _), (never_left, _) = (training.step(model, s, 3) for s in (again, state))
        assert same(to_arrays(went_on), to_arrays(never_left))


def test_an_injected_schedule_goes_on_from_the_step_that_it_had_come_to() -> None:
    with jax.enable_x64(True):
        training = Training(lambda: optax.inject_hyperparams(optax.adam)(optax.linear_schedule(0.03, 0.0, 10)))
        model = training.model(draw_parameters(0))
        state = training.fresh(model)
        for number in range(3):
            model, state = training.step(model, state, number)
        again = training.back(training.model(to_arrays(model)), training.out(model, state))
        (went_on, _), (never_left, _) = (training.step(model, s, 3) for s in (again, state))
        assert same(to_arrays(went_on), to_arrays(never_left))


@every_dtype
def test_adam_has_the_names_and_the_layout_of_torch(dtype: Dtype) -> None:
    with jax.enable_x64(dtype == "float64"):
        training = Training(OPTIMIZERS["adam"], dtype)
        model = training.model(draw_parameters(0))
        out = training.out(*training.step(model, training.fresh(model), 0))
    gradients = cast(draw_parameters(100), dtype)
    assert same({"step": out.pop("step")}, {"step": np.asarray(1)})
    expected = {f"exp_avg.{name}": 0.1 * array for name, array in gradients.items()}
    expected |= {f"exp_avg_sq.{name}": 0.001 * array**2 for name, array in gradients.items()}
    assert out.keys() == expected.keys()
    for name, array in expected.items():
        assert out[name].dtype == dtype
        np.testing.assert_allclose(out[name], array, rtol=1e-6)


def test_a_fresh_adam_has_moments_of_zero_and_no_arrays_leave_it_fresh() -> None:
    training = Training(OPTIMIZERS["adam"], "float32")
    model = training.model(draw_parameters(0))
    out = training.out(model, training.back(model, {}))
    assert out["step"] == 0
    assert not any(array.any() for array in out.values())


def test_an_optimizer_without_memory_has_no_state() -> None:
    training = Training(OPTIMIZERS["sgd"], "float32")
    model = training.model(draw_parameters(0))
    assert training.out(*training.step(model, training.fresh(model), 0)) == {}
    assert state_out((), model, to_arrays) == {}


def test_the_memory_of_sgd_is_called_as_torch_calls_it() -> None:
    training = Training(OPTIMIZERS["sgd with momentum"], "float32")
    model = training.model(draw_parameters(0))
    out = training.out(*training.step(model, training.fresh(model), 0))
    assert set(out) == {f"momentum_buffer.{name}" for name in draw_parameters(0)}


@pytest.mark.parametrize(
    ("make", "theirs", "names"),
    [
        (lambda: optax.rmsprop(0.03), (), {"square_avg"}),
        (lambda: optax.rmsprop(0.03, bias_correction=True), (), {"step", "square_avg"}),
        (lambda: optax.rmsprop(0.03, centered=True), (), {"grad_avg", "square_avg"}),
        (lambda: optax.adadelta(0.03), (), {"square_avg", "acc_delta"}),
        (lambda: optax.adagrad(0.03), (), {"sum"}),
        (lambda: optax.rprop(0.03), ("prev", "step_size"), {"prev_updates", "step_sizes"}),
        (lambda: optax.adamax(0.03), (), {"step", "exp_avg", "exp_avg_sq"}),
        (lambda: optax.adamax(0.03), ("exp_avg", "exp_inf"), {"step", "exp_avg", "exp_inf"}),
        (lambda: optax.adam(0.03), ("exp_avg_sq", "exp_inf"), {"step", "exp_avg", "exp_avg_sq"}),
        (lambda: optax.rmsprop(0.03), ("exp_inf",), {"square_avg"}),
    ],
)
def test_what_is_remembered_has_the_name_that_the_kind_of_state_tells(
    make: Optimizer, theirs: tuple[str, ...], names: set[str]
) -> None:
    training = Training(make, "float32")
    model = training.model(draw_parameters(0))
    model, state = training.step(model, training.fresh(model), 0)
    out = state_out(state, model, to_arrays, theirs)
    assert {name.partition(".")[0] for name in out} == names
    again = state_in(training.fresh(model), model, out, training.model, to_arrays, theirs)
    jax.tree.map(np.testing.assert_array_equal, again, state)


def test_steps_are_counted_where_torch_counts_and_the_optimizer_does_not() -> None:
    found = {"square_avg.w": np.ones(2)}
    assert with_count(found, {"step", "square_avg"}, 3) == {"step": 3} | found
    assert with_count(found, {"square_avg"}, 3) is found
    assert with_count({}, {"step"}, 3) == {}
    assert with_count({"step": np.asarray(7)} | found, {"step"}, 3)["step"] == 7


def test_a_number_that_the_state_needs_and_was_not_recorded_is_told() -> None:
    training = Training(OPTIMIZERS["adam"], "float32")
    model = training.model(draw_parameters(0))
    recorded = {name: a for name, a in training.out(model, training.fresh(model)).items() if name != "step"}
    with pytest.raises(NotCheckable, match="the jax side's optimizer keeps 'step', which the recorded state has not"):
        training.back(model, recorded)


def test_of_a_masked_parameter_there_is_nothing_and_what_is_given_of_it_is_not_taken() -> None:
    training = Training(masked, "float32")
    model = training.model(draw_parameters(0))
    model, state = training.step(model, training.fresh(model), 0)
    out = training.out(model, state)
    trained = [name for name in draw_parameters(0) if name.startswith("outer.")]
    assert set(out) == {"step", *(f"{entry}.{name}" for entry in ("exp_avg", "exp_avg_sq") for name in trained)}
    given = {f"{entry}.{name}": a for entry in ("exp_avg", "exp_avg_sq") for name, a in draw_parameters(0).items()}
    again = training.back(model, given | out)
    assert jax.tree.structure(again) == jax.tree.structure(state)  # type: ignore[operator]
    jax.tree.map(np.testing.assert_array_equal, again, state)


def test_a_mask_may_stand_for_a_whole_branch() -> None:
    tree = {"inner": {"w": np.ones(2), "b": np.ones(1)}, "outer": {"w": np.ones(2)}}
    groups = {"inner": "still", "outer": "moving"}
    state = optax.partition({"moving": optax.trace(0.9), "still": optax.set_to_zero()}, groups).init(tree)

    def names(tree: Any) -> Arrays:
        return {f"{layer}.{name}": np.asarray(a) for layer, inner in tree.items() for name, a in inner.items()}

    assert state_out(state, tree, names).keys() == {"momentum_buffer.outer.w"}
