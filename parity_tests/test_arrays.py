"""Arrays go in and out of both wings bit for bit, and initial parameters are drawn as torch.nn.Linear draws them."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType
from typing import Any

import jax
import numpy as np
import pytest
import torch
from flax import nnx

from jaxnet import line_fit as jax_line_fit
from jaxnet import mlp as jax_mlp
from jaxnet import mnist as jax_mnist
from jaxnet.draws import draw_linear as jax_draw
from torchnet import line_fit as torch_line_fit
from torchnet import mlp as torch_mlp
from torchnet import mnist as torch_mnist
from torchnet.draws import draw_linear as torch_draw

PROBLEMS = [torch_line_fit, torch_mlp, torch_mnist, jax_line_fit, jax_mlp, jax_mnist]
NETS = pytest.mark.parametrize("wing", [torch_mlp, jax_mlp], ids=["torchnet", "jaxnet"])
Draw = Callable[[int], tuple[np.ndarray, np.ndarray]]
"""Weight and bias of a layer with 20 inputs and 30 outputs, drawn from a seed."""
INPUTS, OUTPUTS, DRAWS = 20, 30, 60


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("problem", PROBLEMS, ids=lambda module: module.__name__)
def test_the_round_trip_is_bit_exact(problem: ModuleType, dtype: str) -> None:
    given = {name: array.astype(dtype) for name, array in problem.draw_parameters(3).items()}
    with jax.enable_x64(dtype == "float64"):
        back = problem.to_arrays(problem.from_arrays(given, dtype))
    assert list(back) == list(given)
    assert all(back[name].dtype == dtype and back[name].tobytes() == given[name].tobytes() for name in given)


@NETS
def test_what_comes_out_shares_no_memory_with_what_went_in(wing: ModuleType) -> None:
    given = wing.draw_parameters(0)
    model = wing.from_arrays(given)
    before = wing.to_arrays(model)
    given["fc1.weight"][:] = 0
    wing.to_arrays(model)["fc1.weight"][:] = 1
    assert np.array_equal(wing.to_arrays(model)["fc1.weight"], before["fc1.weight"])


WRONG: dict[str, tuple[Callable[[dict[str, Any]], dict[str, Any]], str]] = {
    "a name too many": (lambda a: a | {"fc3.bias": np.ones(5)}, "fc3.bias: unexpected; expected fc1.weight"),
    "a name too few": (lambda a: {n: v for n, v in a.items() if n != "fc2.bias"}, "fc2.bias: missing"),
    "another shape": (lambda a: a | {"fc1.bias": np.ones((5, 1))}, r"fc1.bias: shape \(5, 1\); expected \(5,\)"),
    "half precision": (lambda a: a | {"fc1.bias": np.ones(5, "float16")}, "fc1.bias: dtype float16; expected float32"),
    "whole numbers": (lambda a: a | {"fc1.bias": np.ones(5, "int64")}, "fc1.bias: dtype int64; expected float32"),
}


@pytest.mark.parametrize("wrong", WRONG)
@NETS
def test_what_does_not_fit_is_named(wing: ModuleType, wrong: str) -> None:
    change, words = WRONG[wrong]
    with pytest.raises(ValueError, match=words):
        wing.from_arrays(change(wing.draw_parameters(0)))


@NETS
def test_adams_memory_comes_back_as_it_went_in(wing: ModuleType) -> None:
    """A step more from a state is the same step as in the run that was not taken apart, to the last bit."""
    whole = wing.train(steps=4, dtype="float64").state
    half = wing.train(steps=4, count=3, dtype="float64").state
    assert half.optimizer["step"].dtype == np.int64
    assert {name.split(".", 1)[0] for name in half.optimizer} == {"step", "exp_avg", "exp_avg_sq"}
    rest = wing.train(steps=4, start=3, state=half, dtype="float64").state
    assert all(rest.optimizer[name].tobytes() == whole.optimizer[name].tobytes() for name in whole.optimizer)
    assert all(rest.parameters[name].tobytes() == whole.parameters[name].tobytes() for name in whole.parameters)


@pytest.mark.parametrize("lacking", ["step", "exp_avg.fc1.weight"])
@NETS
def test_a_memory_that_is_not_adams_is_named(wing: ModuleType, lacking: str) -> None:
    state = wing.train(steps=1).state
    del state.optimizer[lacking]
    with pytest.raises(ValueError, match=f"{lacking}: missing"):
        wing.train(steps=2, start=1, state=state)


# The distribution of initial parameters


def torchs_own(seed: int) -> tuple[np.ndarray, np.ndarray]:
    torch.manual_seed(seed)
    layer = torch.nn.Linear(INPUTS, OUTPUTS)
    return layer.weight.detach().numpy(), layer.bias.detach().numpy()


def flaxs_own(seed: int) -> tuple[np.ndarray, np.ndarray]:
    layer = nnx.Linear(INPUTS, OUTPUTS, rngs=nnx.Rngs(seed))
    return np.asarray(layer.kernel[...]), np.asarray(layer.bias[...])  # type: ignore[index]


def ours(draw: Callable[..., dict[str, np.ndarray]]) -> Draw:
    def drawn(seed: int) -> tuple[np.ndarray, np.ndarray]:
        arrays = draw(seed, {"layer": (INPUTS, OUTPUTS)})
        return arrays["layer.weight"], arrays["layer.bias"]

    return drawn


def many(draw: Draw) -> list[np.ndarray]:
    """All weights, and all biases, of many draws, sorted."""
    return [
        np.sort(np.concatenate([array.ravel() for array in kind]))
        for kind in zip(*map(draw, range(DRAWS)), strict=True)
    ]


def apart(some: np.ndarray, others: np.ndarray) -> float:
    """The Kolmogorov-Smirnov statistic: the largest distance of two distributions, in its critical value at 1 in 1000.

    Source: N. Smirnov, Table for estimating the goodness of fit of empirical distributions, 1948.
    """
    at = np.concatenate([some, others])
    found = np.abs(np.searchsorted(some, at, "right") / some.size - np.searchsorted(others, at, "right") / others.size)
    return float(found.max() / (1.95 * np.sqrt((some.size + others.size) / (some.size * others.size))))


@pytest.mark.parametrize("draw", [torch_draw, jax_draw], ids=["torchnet", "jaxnet"])
def test_initial_parameters_are_distributed_as_torch_draws_them(draw: Callable[..., dict[str, np.ndarray]]) -> None:
    for expected, found in zip(many(torchs_own), many(ours(draw)), strict=True):
        assert apart(expected, found) < 1
        assert np.abs(found).max() <= 1 / np.sqrt(INPUTS)


def test_flaxs_own_distribution_is_rejected() -> None:
    assert all(apart(expected, found) > 3 for expected, found in zip(many(torchs_own), many(flaxs_own), strict=True))


def test_a_bound_that_is_one_twentieth_too_wide_is_rejected() -> None:
    wide = [1.05 * found for found in many(ours(jax_draw))]
    assert apart(many(torchs_own)[0], wide[0]) > 1
