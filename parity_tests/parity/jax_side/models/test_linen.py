"""A Flax Linen module between two calls: its variables in torch's names, and what a call leaves of them."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import torch
from flax import linen as nn

from parity import Pair, random_batches
from parity.jax_side.models.linen import OfLinen
from parity.recording import Arrays
from parity.sides.parts import Parts


class Counting(nn.Module):
    """A linear layer, a running mean, a table that torch has not, and something handed out on the way."""

    partitioned: bool = False

    @nn.compact
    def __call__(self, x: jax.Array, train: bool) -> jax.Array:
        init = nn.initializers.ones
        kernel = nn.with_partitioning(init, ("in", "out")) if self.partitioned else init
        x = nn.Dense(3, kernel_init=kernel, name="fc")(x)
        mean = self.variable("batch_stats", "mean", jnp.zeros, 3)
        self.sow("intermediates", "seen", x)
        if train and not self.is_initializing():
            mean.value = x.mean(0)
        return x + self.variable("tables", "shift", lambda: jnp.arange(3.0)).value


class InTorch(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.fc = torch.nn.Linear(2, 3)
        self.register_buffer("mean", torch.zeros(3))


def loss(model: Any, batch: dict[str, jax.Array], train: bool) -> jax.Array:
    return jnp.sum(model(batch["x"], train))


def held_by(module: nn.Module, torch: Any = InTorch, x: tuple[int, ...] = (4, 2)) -> OfLinen:
    side = {"loss": loss, "optimizer": print}
    batches = random_batches(x=x, steps=1)
    pair = Pair(torch=side | {"model": torch}, jax=side | {"model": lambda: module}, batches=batches)
    return OfLinen(Parts(pair.jax, "jax"), "float32", module)


ARRAYS: Arrays = {
    "fc.weight": np.arange(6, dtype=np.float32).reshape(3, 2),
    "fc.bias": np.ones(3, np.float32),
    "mean": np.full(3, 7, np.float32),
}
X = jnp.asarray(np.random.default_rng(0).standard_normal((4, 2)), jnp.float32)


def test_arrays_come_back_as_they_went_in() -> None:
    models = held_by(Counting())
    held = models.held(ARRAYS)
    np.testing.assert_array_equal(held.trained["fc"]["kernel"], ARRAYS["fc.weight"].T)
    back = models.trained_arrays(held.trained) | models.kept_arrays(held.kept)
    assert back.keys() == ARRAYS.keys()
    for name, array in ARRAYS.items():
        np.testing.assert_array_equal(back[name], array)
    assert (models.unmatched, models.apart) == (frozenset(), frozenset())


def test_the_bound_module_is_called_as_it_is_and_what_it_keeps_changes_in_training_only() -> None:
    models = held_by(Counting())
    held = models.held(ARRAYS)
    expected = X @ ARRAYS["fc.weight"].T + 1
    for training in (True, False):
        model = models.bound(held, training=training)
        np.testing.assert_allclose(model(X, training), expected + jnp.arange(3), rtol=0, atol=1e-5)
        after = models.kept_arrays(models.kept_after(model))["mean"]
        np.testing.assert_allclose(after, expected.mean(0) if training else ARRAYS["mean"], rtol=0, atol=1e-5)


def test_two_calls_in_one_loss_go_on_from_one_another() -> None:
    models = held_by(Counting())
    model = models.bound(models.held(ARRAYS), training=True)
    first = model(X, True)
    np.testing.assert_array_equal(model(X, True), first)
    model(X + 1, True)
    after = models.kept_after(model)
    assert after.keys() == {"batch_stats", "tables"}
    expected = (X + 1).mean(0) @ ARRAYS["fc.weight"].T + 1
    np.testing.assert_allclose(after["batch_stats"]["mean"], expected, rtol=0, atol=1e-5)


def test_what_torch_does_not_hold_is_as_the_module_makes_it() -> None:
    held = held_by(Counting()).held(ARRAYS)
    assert held.kept["tables"]["shift"].tolist() == [0, 1, 2]


def test_a_box_around_a_parameter_is_taken_off() -> None:
    plain, boxed = (held_by(Counting(partitioned)) for partitioned in (False, True))
    model = boxed.bound(boxed.held(ARRAYS), training=False)
    np.testing.assert_array_equal(model(X, False), plain.bound(plain.held(ARRAYS), training=False)(X, False))


def test_what_it_is_made_of_is_told_in_outline_by_one_call() -> None:
    calls: list[Any] = []

    class Told(Counting):
        @nn.compact
        def __call__(self, x: jax.Array, train: bool) -> jax.Array:
            calls.append((x.shape, isinstance(x, jax.core.Tracer), train))
            return super().__call__(x, train)

    assert held_by(Told()).map.layers.keys() >= {"fc"}
    assert calls == [((4, 2), True, True)]


class Attending(nn.Module):
    """Attention under a name that says nothing of it, and a linear layer."""

    @nn.compact
    def __call__(self, x: jax.Array, train: bool) -> jax.Array:
        found: jax.Array = nn.Dense(4, name="out")(nn.MultiHeadDotProductAttention(2, name="mixing")(x, x, x))
        return found


class AttendingInTorch(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.mixing = torch.nn.MultiheadAttention(4, 2, batch_first=True)
        self.out = torch.nn.Linear(4, 4)


def test_the_kinds_of_layers_are_known_so_that_the_map_needs_no_help() -> None:
    models = held_by(Attending(), AttendingInTorch, x=(1, 3, 4))
    assert {name: layer.torch for name, layer in models.map.layers.items() if name} == {
        "mixing": "mixing",
        "out": "out",
    }
