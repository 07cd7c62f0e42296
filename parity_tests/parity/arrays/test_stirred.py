"""Parameters that are all 0 or all 1 are moved where nothing trains, so that what is done with them shows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from types import SimpleNamespace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
from flax import nnx
from torch import Tensor, nn

from parity import Pair, Verdict, check, random_batches
from parity.arrays.stirred import LEAST, MOST, stirred
from parity.recording import DTYPES, USUAL_DTYPES, Arrays, Dtype, Key
from parity.sides.runs import begin
from parity_tests.parity.made_recordings import recording

pytestmark = pytest.mark.usefixtures("compiled_quickly")


def test_what_is_all_0_or_all_1_is_moved_upwards_and_nothing_else() -> None:
    held: Arrays = {
        "scale": np.ones(3), "bias": np.zeros((2, 2), np.float32), "gate": np.zeros(()),
        "weight": np.array([0.0, 1.0]), "temperature": np.full(2, 2.0), "count": np.ones(2, int), "none": np.zeros(0),
        "mask": np.ones(4), "norm.running_var": np.ones(2),
    }  # fmt: skip
    found = stirred(held, {"mask", "norm.running_var"})
    assert found.keys() == {"scale", "bias", "gate", "norm.running_var"}
    for name, array in found.items():
        assert (array.shape, array.dtype) == (held[name].shape, held[name].dtype)
        far = array - held[name]
        assert far.min() >= LEAST - 1e-6
        assert far.max() <= MOST + 1e-6
    assert len(np.unique(found["scale"])) == 3


def test_each_is_always_moved_alike_also_where_noise_has_moved_it_before() -> None:
    scale = np.ones(3)
    apart = stirred({"a": np.nextafter(scale, 2), "b": scale}, ())["a"] - stirred({"a": scale}, ())["a"]
    assert np.abs(apart).max() < 1e-15
    assert not np.array_equal(stirred({"a": scale}, ())["a"], stirred({"b": scale}, ())["b"])


def test_where_a_run_begins_buffers_stay_but_for_statistics() -> None:
    live: Any = SimpleNamespace(outline=SimpleNamespace(buffers={"mask", "norm.running_var"}), dtype="float64")
    run = recording()
    begin(live, run, {"scale": np.ones(2), "mask": np.ones(2), "norm.running_var": np.ones(2)}, stirs=True)
    assert run.of("init", 1).keys() == {"scale", "norm.running_var"}


class Net(nn.Module):
    """Two norms and a gate, all of them fresh."""

    def __init__(self) -> None:
        super().__init__()
        self.inner, self.norm, self.batch = nn.Linear(4, 5), nn.LayerNorm(5), nn.BatchNorm1d(5)
        self.gate = nn.Parameter(torch.zeros(5))

    def forward(self, x: Tensor) -> Tensor:
        y = self.inner(x)
        found: Tensor = y + self.gate * self.norm(y) + self.batch(y)
        return found


Use = Callable[[jax.Array, jax.Array], jax.Array]


class Norm(nnx.Module):
    def __init__(self, bias: Use) -> None:
        self.scale, self.bias, self.use = nnx.Param(jnp.ones(5)), nnx.Param(jnp.zeros(5)), bias

    def __call__(self, x: jax.Array) -> jax.Array:
        x = (x - x.mean(-1, keepdims=True)) / jnp.sqrt(x.var(-1, keepdims=True) + 1e-5)
        return self.use(x * self.scale[...], self.bias[...])


class Batch(nnx.Module):
    def __init__(self, mean: Use) -> None:
        self.scale, self.bias, self.use = nnx.Param(jnp.ones(5)), nnx.Param(jnp.zeros(5)), mean
        self.mean, self.var = nnx.BatchStat(jnp.zeros(5)), nnx.BatchStat(jnp.ones(5))

    def __call__(self, x: jax.Array) -> jax.Array:
        return self.use(x, self.mean[...]) / jnp.sqrt(self.var[...] + 1e-5) * self.scale[...] + self.bias[...]


class NetTwin(nnx.Module):
    def __init__(self, rngs: nnx.Rngs, bias: Use = jnp.add, mean: Use = jnp.subtract, gate: float = 1.0) -> None:
        self.inner, self.norm, self.batch = nnx.Linear(4, 5, rngs=rngs), Norm(bias), Batch(mean)
        self.gate, self.turned = nnx.Param(jnp.zeros(5)), gate

    def __call__(self, x: jax.Array) -> jax.Array:
        y = self.inner(x)
        return y + self.turned * self.gate[...] * self.norm(y) + self.batch(y)


def predict(model: Any, batch: Any) -> Any:
    return model(batch["x"])


def evaluated(model: Any, batch: Any) -> Any:
    return model.eval()(batch["x"])


def verdict(dtypes: Sequence[Dtype] = USUAL_DTYPES, **wrong: Any) -> Verdict:
    return check(
        Pair(
            name="fresh", torch=dict(model=Net, predict=evaluated),
            jax=dict(model=lambda rngs: NetTwin(rngs, **wrong), predict=predict),
            batches=random_batches(x=(6, 4), steps=2), stages=("forward", "score"),
            dtypes=tuple(dtypes),
        )
    )  # fmt: skip


@pytest.mark.parametrize("dtypes", [USUAL_DTYPES, DTYPES])
def test_a_right_port_agrees(dtypes: Sequence[Dtype]) -> None:
    found = verdict(dtypes)
    assert found.outcome == "agree"
    assert all(
        any(c.key == Key("init", 1, "norm.bias") and c.dtype == dtype for c in found.comparisons) for dtype in dtypes
    )


@pytest.mark.parametrize(
    "wrong",
    [{"bias": jnp.subtract}, {"bias": lambda x, _: x}, {"mean": jnp.add}, {"gate": -1.0}],
    ids=["a bias subtracted", "a bias forgotten", "a mean added", "a gate turned"],
)
def test_a_port_that_uses_a_fresh_parameter_wrongly_differs_from_the_second_step_on(wrong: Any) -> None:
    found = verdict(**wrong)
    first = found.first_difference
    assert first is not None
    assert (found.outcome, first.comparison.key.stage, first.comparison.key.step) == ("differ", "forward", 1)


FRESH = (
    "what is done with these, which begin as all 0 or all 1: batch.bias, batch.running_mean, batch.running_var, "
    "batch.weight and 3 more: two steps or more show it"
)


@pytest.mark.parametrize(
    ("steps", "stages", "told"),
    [(1, ("forward",), [FRESH]), (2, ("forward",), []), (1, ("forward", "score"), [])],
    ids=["one step", "two steps", "scored"],
)
def test_where_they_are_never_shown_moved_that_is_told(steps: int, stages: tuple[str, ...], told: list[str]) -> None:
    found = check(
        Pair(
            name="fresh", torch=dict(model=Net, predict=evaluated), jax=dict(model=NetTwin, predict=predict),
            batches=random_batches(x=(6, 4), steps=steps), stages=stages,
        ),
        dtypes=("float64",),
    )  # fmt: skip
    assert found.outcome == "agree"
    assert found.unseen == told
