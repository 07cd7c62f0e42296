"""What is recorded of the layers of a Flax Linen module, by their paths."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn

from parity.jax_side.layers import Layers, watch_linen
from parity.jax_side.place import Place

PLACES = {"inner": Place("fc1", channels=False), "block.conv": Place("conv", channels=True)}


class Block(nn.Module):
    """One convolution, under a name of its own."""

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        return nn.Conv(3, (1,), name="conv")(x)


class Net(nn.Module):
    """A layer called twice, a convolution in a block and a layer that nobody watches."""

    block: type[nn.Module] = Block

    def setup(self) -> None:
        self.inner, self.other, self.blocked = nn.Dense(3), nn.Dense(3), self.block(name="block")

    def __call__(self, x: jax.Array) -> jax.Array:
        found: jax.Array = self.blocked(self.other(self.inner(self.inner(x))))
        return found


class Doubled(nn.Dense):
    """A layer that calls its class's own way as a part of itself."""

    def __call__(self, inputs: jax.Array) -> jax.Array:
        return 2 * super().__call__(inputs)


INPUTS = jnp.asarray(np.random.default_rng(0).standard_normal((2, 4, 3)), jnp.float32)


def bound(model: nn.Module) -> Any:
    return model.bind(model.init(jax.random.key(0), INPUTS))


def watched(model: Any, probes: Any = None, places: Any = PLACES, bits: int | None = None) -> tuple[jax.Array, Layers]:
    with watch_linen(places, bits, probes, None, stacks=()) as layers:
        output = model(INPUTS)
    return output, layers


def test_calls_have_the_names_of_torch_and_its_layout() -> None:
    model = bound(Net())
    output, layers = watched(model)
    assert list(layers.forward) == [
        "fc1.input", "fc1.output", "fc1#2.input", "fc1#2.output", "conv.input", "conv.output",
    ]  # fmt: skip
    assert layers.inputs == ["fc1.input", "fc1#2.input", "conv.input"]
    np.testing.assert_array_equal(layers.forward["fc1.input"], INPUTS)
    np.testing.assert_array_equal(layers.forward["conv.output"], jnp.moveaxis(output, -1, 1))
    assert layers.outputs is output
    np.testing.assert_array_equal(output, model(INPUTS))


def test_a_probe_at_an_input_gives_the_gradient_by_that_input() -> None:
    model = bound(Net())
    probes = {
        "fc1.input": jnp.zeros((2, 4, 3)),
        "fc1#2.input": jnp.zeros((2, 4, 3)),
        "conv.input": jnp.zeros((2, 3, 4)),
    }
    found = jax.grad(lambda probes: (watched(model, probes)[0] ** 2).sum())(probes)
    kernel = model.variables["params"]["inner"]["kernel"]
    np.testing.assert_allclose(found["fc1.input"], found["fc1#2.input"] @ kernel.T, rtol=0, atol=1e-5)
    assert all(jnp.any(gradient != 0) for gradient in found.values())


def test_a_coarse_pass_rounds_what_is_watched() -> None:
    _, layers = watched(bound(Net()), bits=10)
    for array in layers.forward.values():
        np.testing.assert_array_equal(array, jax.lax.reduce_precision(array, exponent_bits=8, mantissa_bits=10))


def test_a_layer_that_builds_on_its_class_is_one_call_and_its_whole_output() -> None:
    class Wide(nn.Module):
        @nn.compact
        def __call__(self, x: jax.Array) -> jax.Array:
            return Doubled(3, name="inner")(x)

    output, layers = watched(bound(Wide()))
    assert list(layers.forward) == ["fc1.input", "fc1.output"]
    np.testing.assert_array_equal(layers.forward["fc1.output"], output)


def test_a_layer_in_another_trace_is_called_and_told_and_nothing_of_it_is_kept() -> None:
    checkpointed: Any = nn.remat(Block)
    output, layers = watched(bound(Net(checkpointed)))
    assert layers.hidden == {"conv"}
    assert [name for name in layers.forward if name.startswith("conv")] == []
    assert layers.outputs is output
    np.testing.assert_array_equal(output, bound(Net())(INPUTS))
    whole: Any = bound(Net())
    with watch_linen(PLACES, None, None, None, stacks=()) as layers:
        output = jax.vmap(whole)(INPUTS)
    assert layers.hidden == {"fc1", "conv"}
    # The model's own output has a place at all examples, as a tap has.
    np.testing.assert_array_equal(layers.outputs, output)


def test_afterwards_nothing_is_watched() -> None:
    model = bound(Net())
    _, layers = watched(model)
    before = dict(layers.forward)
    model(INPUTS + 1)
    assert layers.forward.keys() == before.keys()
    assert all(layers.forward[name] is array for name, array in before.items())
