"""What is recorded of the layers of an `nnx.Module`: the same names as on the torch side."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from parity import tap
from parity.errors import NotCheckable
from parity.jax_side.layers import Layers, rounded, watch
from parity.jax_side.models.by_hand import own_places
from parity.jax_side.place import Features, Place
from parity.pair.tap import tapped


def watched(model: Any, *inputs: jax.Array, bits: int | None = None, probes: Any = None) -> tuple[jax.Array, Layers]:
    with watch(model, own_places(model), bits, probes) as layers:
        output = model(*inputs)
    return output, layers


class Twice(nnx.Module):
    """One layer called twice, in a module that owns none itself."""

    def __init__(self) -> None:
        self.block = nnx.List([nnx.Linear(3, 3, rngs=nnx.Rngs(0))])

    def __call__(self, inputs: jax.Array) -> jax.Array:
        return nnx.relu(self.block[0](nnx.relu(self.block[0](inputs))))


class Own(nnx.Module):
    """A module with a parameter of its own and two inputs."""

    def __init__(self) -> None:
        self.scale = nnx.Param(jnp.full((3,), 2.0))

    def __call__(self, first: jax.Array, second: jax.Array) -> jax.Array:
        return self.scale[...] * first * second


class Widened(nnx.Linear):
    """A layer that calls its class's own way as a part of itself."""

    def __call__(self, inputs: jax.Array) -> jax.Array:  # type: ignore[override]
        return 2 * super().__call__(inputs)


def normal(*shape: int) -> jax.Array:
    return jnp.asarray(np.random.default_rng(0).standard_normal(shape), jnp.float32)


def test_calls_are_named_by_module_and_counted_in_the_order_of_the_flow() -> None:
    _, layers = watched(Twice(), jnp.ones((2, 3)))
    assert list(layers.forward) == ["block.0.input", "block.0.output", "block.0#2.input", "block.0#2.output"]
    assert layers.inputs == ["block.0.input", "block.0#2.input"]


def test_each_call_has_its_own_arrays() -> None:
    model, inputs = Twice(), normal(2, 3)
    output, layers = watched(model, inputs)
    np.testing.assert_array_equal(layers.forward["block.0.input"], inputs)
    np.testing.assert_array_equal(nnx.relu(layers.forward["block.0.output"]), layers.forward["block.0#2.input"])
    np.testing.assert_array_equal(nnx.relu(layers.forward["block.0#2.output"]), output)


def test_a_probe_at_an_input_gives_the_gradient_by_that_input() -> None:
    model, inputs = Twice(), normal(2, 3)
    probes = {name: jnp.zeros((2, 3)) for name in ("block.0.input", "block.0#2.input")}
    first = watched(model, inputs)[1].forward["block.0.output"]
    found = jax.grad(lambda probes: watched(model, inputs, probes=probes)[0].sum())(probes)
    expected = (found["block.0#2.input"] * (first > 0)) @ model.block[0].kernel[...].T
    np.testing.assert_allclose(found["block.0.input"], expected, rtol=0, atol=1e-6)
    assert jnp.any(expected != 0)


def test_the_model_itself_and_a_second_input_have_names_too() -> None:
    _, layers = watched(Own(), jnp.ones(3), jnp.full(3, 5.0))
    assert list(layers.forward) == ["model.input", "model.input1", "model.output"]
    assert layers.forward["model.input1"].tolist() == [5.0] * 3


def test_whole_numbers_are_no_activations() -> None:
    output, layers = watched(nnx.Embed(4, 2, rngs=nnx.Rngs(0)), jnp.array([1, 3]))
    assert list(layers.forward) == ["model.output"]
    np.testing.assert_array_equal(layers.forward["model.output"], output)
    assert not layers.inputs


def test_a_layer_that_builds_on_its_class_is_one_call_and_its_whole_output() -> None:
    layer, inputs = Widened(3, 3, rngs=nnx.Rngs(0)), normal(2, 3)
    plain = layer(inputs)
    output, layers = watched(layer, inputs)
    assert list(layers.forward) == ["model.input", "model.output"]
    np.testing.assert_array_equal(layers.forward["model.output"], output)
    np.testing.assert_array_equal(output, plain)


def test_a_layer_of_another_model_is_not_recorded() -> None:
    model, other = Twice(), nnx.Linear(3, 3, rngs=nnx.Rngs(1))
    with watch(model, own_places(model), None) as layers:
        other(jnp.ones((2, 3)))
    assert not layers.forward


def test_watching_changes_neither_the_output_nor_the_gradients() -> None:
    model, inputs = Twice(), normal(2, 3)

    def total(model: Twice, watching: bool) -> jax.Array:
        return (watched(model, inputs)[0] if watching else model(inputs)).sum()

    (found, of_found), (expected, of_expected) = (
        jax.value_and_grad(total)(model, watching) for watching in (True, False)
    )
    assert found == expected
    jax.tree.map(np.testing.assert_array_equal, of_found, of_expected)


def test_the_classes_are_as_before_afterwards_even_where_the_model_raised() -> None:
    class Inherits(nnx.Linear):
        """Has no `__call__` of its own."""

    model = Twice()
    model.block.append(Inherits(3, 3, rngs=nnx.Rngs(0)))
    before = nnx.Linear.__call__
    with pytest.raises(TypeError, match="shape"):
        watched(model, jnp.ones((2, 4)))
    assert nnx.Linear.__call__ is before
    assert "__call__" not in vars(Inherits)


def test_what_is_no_module_has_no_layers() -> None:
    with watch({"m": jnp.ones(1)}, {}, None) as layers:
        pass
    assert not layers.forward


# Taps


def square(inputs: jax.Array) -> jax.Array:
    """A function with two calls of one tap."""
    return (tap(3 * tap(inputs**2, "square"), "square") * 0.5).sum()


def at_taps(inputs: jax.Array, *given: Any) -> tuple[jax.Array, Layers]:
    layers = Layers(None, *given)
    with tapped(layers.tap):
        return square(inputs), layers


def test_a_tap_keeps_what_stands_there_and_a_probe_finds_what_comes_back() -> None:
    inputs = jnp.array([1.0, 2.0])
    output, layers = at_taps(inputs, None)
    assert output == 7.5
    assert {name: array.tolist() for name, array in layers.forward.items()} == {
        "square.tap": [1.0, 4.0], "square#2.tap": [3.0, 12.0],
    }  # fmt: skip
    probes = {name: jnp.zeros(2) for name in layers.inputs}
    found = jax.grad(lambda probes: at_taps(inputs, probes)[0])(probes)
    assert {name: array.tolist() for name, array in found.items()} == {
        "square.tap": [1.5, 1.5], "square#2.tap": [0.5, 0.5],
    }  # fmt: skip


def test_a_tap_hands_on_what_is_taught_where_that_fits() -> None:
    taught = {"square.tap": jnp.array([2.0, 2.0]), "square#2.tap": jnp.ones(3)}
    output, layers = at_taps(jnp.array([1.0, 2.0]), None, taught)
    assert layers.forward["square.tap"].tolist() == [1.0, 4.0]
    assert layers.forward["square#2.tap"].tolist() == [6.0, 6.0]
    assert output == 6.0


def test_what_is_taught_lets_the_gradient_through_as_if_nothing_had_been() -> None:
    """It is that of what is taught: of `relu` the branch on which this lies."""

    def output(factor: jax.Array, handed: float) -> jax.Array:
        layers = Layers(None, {"first.tap": jnp.zeros(1)}, {"first.tap": jnp.array([handed])})
        with tapped(layers.tap):
            return jnp.sum(3 * nnx.relu(tap(4 * factor, "first")))

    for handed, slope in ((0.5, 12.0), (-0.5, 0.0)):
        found, (gradient,) = jax.value_and_grad(output)(jnp.array([2.0]), handed)
        assert (found, gradient) == (3 * max(handed, 0.0), slope)


def scan(function: Any) -> Any:
    return lambda x: jax.lax.scan(lambda carry, _: (function(carry), None), x, None, length=1)[0]


HIDING: dict[str, Any] = {
    "jit": jax.jit,
    "checkpoint": jax.checkpoint,
    "scan": scan,
    "vmap inside jit": lambda function: jax.jit(jax.vmap(function)),
    "jit inside vmap": lambda function: jax.vmap(jax.jit(function)),
}


@pytest.mark.parametrize("inside", HIDING)
def test_a_tap_inside_a_transformation_is_hidden_and_leaves_everything_as_it_is(inside: str) -> None:
    layers = Layers(None, None)
    function = HIDING[inside](lambda x: tap(2 * x, "here"))
    with tapped(layers.tap):
        output, gradient = jax.value_and_grad(lambda x: function(x).sum())(jnp.ones(2))
    assert (output, gradient.tolist()) == (4.0, [2.0, 2.0])
    assert (layers.hidden, layers.forward) == ({"here"}, {})


@pytest.mark.parametrize("axis", [0, 1])
def test_a_tap_inside_a_map_over_examples_stands_at_all_of_them(axis: int) -> None:
    inputs = normal(2, 3)

    def at(probes: Any) -> Any:
        layers = Layers(None, probes)
        with tapped(layers.tap):
            output = jax.vmap(lambda x: tap(3 * x, "here") ** 2, axis)(jnp.moveaxis(inputs, 0, axis))
        assert not layers.hidden
        return output.sum(), layers.forward

    (_, forward), found = jax.value_and_grad(at, has_aux=True)({"here.tap": jnp.zeros((2, 3))})
    np.testing.assert_allclose(forward["here.tap"], 3 * inputs)
    np.testing.assert_allclose(found["here.tap"], 6 * inputs)


def test_a_tap_inside_two_maps_has_the_axis_of_the_outer_one_first() -> None:
    layers, inputs = Layers(None, None), normal(2, 3, 4)
    with tapped(layers.tap):
        jax.vmap(jax.vmap(lambda x: tap(x, "here")))(inputs)
    np.testing.assert_array_equal(layers.forward["here.tap"], inputs)


def test_what_is_no_floating_array_and_what_is_called_like_a_layer_is_no_tap() -> None:
    for value in (jnp.arange(3), np.ones(2), 1.0, None):
        with pytest.raises(NotCheckable, match=r"the tap 'here' was given a .*: expected an array of JAX's"):
            Layers(None, None).tap(value, "here")
    model = Twice()
    with watch(model, own_places(model), None) as layers, pytest.raises(NotCheckable, match="the name of a layer"):
        layers.tap(jnp.ones(1), "block.0")


# Rounding


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_a_rounded_array_keeps_as_many_bits_as_it_was_given(dtype: str) -> None:
    kept, lost = 1 + 2**-10, 1 + 2**-10 + 2**-13
    with jax.enable_x64(dtype == "float64"):
        assert rounded(jnp.array([kept, lost, -lost], dtype), 10).tolist() == [kept, kept, -kept]


def test_the_gradient_passes_a_rounding_as_if_there_were_none() -> None:
    weights = jnp.array([2.0, 3.0])
    gradient = jax.grad(lambda array: (rounded(array, 10) * weights).sum())(jnp.array([0.1, -0.3]))
    assert gradient.tolist() == [2.0, 3.0]


def test_without_bits_and_for_whole_numbers_nothing_is_rounded() -> None:
    array, whole = jnp.array([0.1]), jnp.array([2**30 + 1])
    assert rounded(array, None) is array
    assert rounded(whole, 10) is whole


def test_a_mask_stays_as_it_is() -> None:
    lowest = float(np.finfo(np.float32).min)
    assert rounded(jnp.array([-jnp.inf, lowest, 1 + 2**-13], jnp.float32), 10).tolist() == [-jnp.inf, lowest, 1.0]


ORDER = np.array([2, 0, 1])


def test_what_a_layer_is_taught_in_torchs_order_comes_and_goes_in_its_own() -> None:
    taught = {"fc.input": jnp.array([[10.0, 20.0, 30.0]]), "fc.output": jnp.array([[1.0, 2.0, 3.0]])}
    layers, seen = Layers(None, None, taught), []

    def layer(x: jax.Array) -> jax.Array:
        seen.append(x)
        return 2 * x

    given = layers.call(
        Place("fc", channels=False, takes=Features(ORDER), gives=Features(ORDER)), layer, jnp.array([[4.0, 5.0, 6.0]])
    )
    assert seen[0][..., ORDER].tolist() == taught["fc.input"].tolist()
    assert given[..., ORDER].tolist() == taught["fc.output"].tolist()
    assert layers.forward["fc.input"].tolist() == [[6.0, 4.0, 5.0]]


def test_what_has_not_as_many_features_stays_in_its_order() -> None:
    layers = Layers(None, None)
    layers.call(Place("fc", channels=False, takes=Features(ORDER)), lambda x, _: x, jnp.ones((1, 3)), jnp.arange(4.0))
    assert layers.forward["fc.input1"].tolist() == [0, 1, 2, 3]
