"""The line fit: every number of the notebook, on both sides."""

from __future__ import annotations

import math
import subprocess
import sys
from types import ModuleType
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch

from jaxnet import line_fit as jax_line_fit
from torchnet import line_fit as torch_line_fit

WINGS = pytest.mark.parametrize("wing", [torch_line_fit, jax_line_fit], ids=["torchnet", "jaxnet"])


@WINGS
def test_the_walk_has_the_notebooks_numbers(wing: ModuleType) -> None:
    first, uneven, even = wing.walk()
    assert first == (5, 2, 12, 1, -2, -1)
    assert uneven == pytest.approx((5.02, 2.3, 12.34, 0.66, -2, -1), abs=1e-12)
    assert (even.m, even.c) == pytest.approx((5.1, 2.05), abs=1e-12)


@WINGS
def test_the_fit_starts_where_the_walk_ends(wing: ModuleType) -> None:
    assert {name: array.tolist() for name, array in wing.draw_parameters(7).items()} == {"m": [5.1], "c": [2.05]}
    batch = wing.batches(0, 3)[2]
    assert {name: array.shape for name, array in batch.items()} == {"x": (5, 100), "target": (1, 100)}


@WINGS
def test_the_fit_ends_at_the_least_squares(wing: ModuleType) -> None:
    """The minimum of the norm is that of its square, which a linear system gives."""
    batch = wing.batches(0, 1)[0]
    x, target = batch["x"].ravel(), np.broadcast_to(batch["target"], (5, 100)).ravel()
    m, c = np.linalg.lstsq(np.stack([x, np.ones_like(x)], 1), target)[0]
    run = wing.train(dtype="float64")
    # At a fixed rate the end is as near as one step is long: the gradient of a norm is no longer than sqrt(500).
    assert run.state.parameters["m"].item() == pytest.approx(m, abs=0.05)
    assert run.state.parameters["c"].item() == pytest.approx(c, abs=0.05)
    assert run.losses[-1] == pytest.approx(math.sqrt(np.sum((m * x + c - target) ** 2)), rel=1e-3)
    assert run.losses.shape == (100,)
    assert run.losses[0] > 4 * run.losses[-1]


def differentiated(wing: ModuleType, residual: np.ndarray, length: Any) -> np.ndarray:
    if wing is torch_line_fit:
        tensor = torch.tensor(residual, requires_grad=True)
        (gradient,) = torch.autograd.grad(length(tensor), tensor)
        return np.asarray(gradient.numpy())
    return np.asarray(jax.grad(length)(jnp.asarray(residual)))


@WINGS
def test_a_loss_of_exactly_zero_has_gradient_zero(wing: ModuleType) -> None:
    assert differentiated(wing, np.zeros(3), wing.norm).tolist() == [0, 0, 0]
    assert differentiated(wing, np.array([3.0, 4.0]), wing.norm) == pytest.approx([0.6, 0.8])


def test_jaxs_own_norm_would_not_do() -> None:
    """The mistake that the norm of this house is there for."""
    assert np.isnan(differentiated(jax_line_fit, np.zeros(3), jnp.linalg.norm)).all()


@WINGS
def test_the_fit_survives_a_loss_of_zero(wing: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    exact = {"x": np.zeros((5, 100)), "target": np.full((1, 100), 2.05)}
    monkeypatch.setattr(wing, "batches", lambda seed, steps: [exact] * steps)
    run = wing.train(steps=3, dtype="float64")
    assert run.losses.tolist() == [0, 0, 0]
    assert run.state.parameters["c"].tolist() == [2.05]


@pytest.mark.parametrize("wing", ["torchnet", "jaxnet"])
def test_the_command_prints_the_walk_and_the_fit(wing: str) -> None:
    found = subprocess.run(
        [sys.executable, "-m", f"{wing}.line_fit", "--dtype", "float64"], capture_output=True, text=True, check=True
    )
    lines = found.stdout.splitlines()
    assert lines[0] == "m 5, c 2, x 2, target 13: y 12, loss 1, gradients -2 and -1"
    assert lines[1] == "m 5.02, c 2.3, x 2, target 13: y 12.34, loss 0.66, gradients -2 and -1"
    assert lines[2].startswith("m 5.1, c 2.05,")
    assert lines[-1].startswith("m ")
