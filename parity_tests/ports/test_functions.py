"""Activations and losses give what torch's give; what Optax's losses give in their place is seen."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import torch
import torch.nn.functional as F
from flax import nnx

from parity_tests.ports.functions import FUNCTIONS, WEIGHT
from parity_tests.ports.layer_case import LayerCase
from parity_tests.ports.losses import cross_entropy

# Measured: at most 2e-16.
LIMIT = 1e-14
LABELS = np.array([4, -100, 0, 1, -100, 3, 2])


@pytest.fixture(autouse=True)
def _in_float64() -> Iterator[None]:
    with jax.enable_x64(True):
        yield


def difference(left: torch.Tensor, right: jax.Array) -> float:
    assert left.shape == right.shape
    assert left.dtype == torch.float64
    assert right.dtype == np.float64
    return float(np.abs(left.numpy() - np.asarray(right)).max() / left.abs().max())


@pytest.mark.parametrize("case", FUNCTIONS, ids=lambda case: case.name)
def test_functions(case: LayerCase) -> None:
    inputs = case.draw(np.random.default_rng(0), 3, 4)
    with torch.no_grad():
        left = case.torch().double()(*map(torch.from_numpy, inputs))
    right: Any = case.jax(nnx.Rngs(0))
    assert difference(left, right(*map(jnp.asarray, inputs))) < LIMIT


def test_no_two_cases_have_one_name() -> None:
    names = [case.name for case in FUNCTIONS]
    assert sorted(names) == sorted(set(names))


def logits() -> np.ndarray:
    return np.random.default_rng(0).standard_normal((7, 5))


def by_torch(**options: Any) -> torch.Tensor:
    return F.cross_entropy(torch.from_numpy(logits()), torch.from_numpy(LABELS), **options)


def test_a_mean_over_optax_counts_what_is_ignored() -> None:
    counted = LABELS != -100
    losses = optax.softmax_cross_entropy_with_integer_labels(jnp.asarray(logits()), np.where(counted, LABELS, 0))
    masked = jnp.mean(jnp.where(counted, losses, 0))
    assert difference(by_torch() * counted.mean(), masked) < LIMIT
    assert difference(by_torch(), cross_entropy(jnp.asarray(logits()), jnp.asarray(LABELS))) < LIMIT


def test_smoothed_labels_of_optax_leave_the_weights_of_the_other_classes_out() -> None:
    labels, weight = np.abs(LABELS) % 5, np.array(WEIGHT)
    smoothed = optax.smooth_labels(jax.nn.one_hot(labels, 5, dtype=float), 0.1)
    losses = weight[labels] * optax.softmax_cross_entropy(jnp.asarray(logits()), smoothed)
    expected = F.cross_entropy(
        torch.from_numpy(logits()), torch.from_numpy(labels), torch.from_numpy(weight), label_smoothing=0.1
    )
    assert difference(expected, jnp.sum(losses) / weight[labels].sum()) > 1e-3
    ours = cross_entropy(jnp.asarray(logits()), jnp.asarray(labels), jnp.asarray(weight), label_smoothing=0.1)
    assert difference(expected, ours) < LIMIT


def test_gelu_of_jax_is_the_tanh_form_by_default() -> None:
    x = logits()
    assert difference(F.gelu(torch.from_numpy(x), approximate="tanh"), nnx.gelu(jnp.asarray(x))) < LIMIT
    assert difference(F.gelu(torch.from_numpy(x)), nnx.gelu(jnp.asarray(x))) > 1e-5


def test_the_softplus_of_torch_ends_above_20() -> None:
    x = np.array([20.5])
    assert 1e-11 < difference(F.softplus(torch.from_numpy(x)), nnx.softplus(jnp.asarray(x))) < 1e-9


@pytest.mark.parametrize(
    ("of_torch", "of_jax", "off"),
    [
        (F.hardsigmoid, nnx.hard_sigmoid, 3e-8),
        (lambda x: F.celu(x, 0.7), lambda x: nnx.celu(x, 0.7), 2e-8),
    ],
    ids=["hardsigmoid", "celu"],
)
def test_a_gradient_of_torch_has_a_constant_in_float32(of_torch: Any, of_jax: Any, off: float) -> None:
    x = torch.tensor([-0.1], dtype=torch.float64, requires_grad=True)
    of_torch(x).backward()
    assert x.grad is not None
    assert difference(x.grad, jax.grad(lambda x: jnp.sum(of_jax(x)))(jnp.array([-0.1]))) == pytest.approx(off, rel=0.3)
