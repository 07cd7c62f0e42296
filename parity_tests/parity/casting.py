"""A small pair around a norm that computes in float32 whatever its dtype, on either side or on both."""

from __future__ import annotations

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import torch
from flax import nnx
from torch import Tensor, nn

from parity import Pair, random_batches
from parity.judging.distance.factors import FEW_EPS, FLOAT32_FACTOR
from parity.recording import Arrays, Key
from parity.verdict import EPS, Comparison, Verdict

FEATURES, HIDDEN, CLASSES = 5, 16, 3
EPSILON = 1e-5
WIDE = FLOAT32_FACTOR * FEW_EPS * EPS["float32"]
NORM = Key("forward", 0, "norm.output")


class Norm(nn.Module):
    """RMSNorm, computed in `dtype`; None: in that of what it is given."""

    def __init__(self, dtype: torch.dtype | None) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(HIDDEN))
        self.dtype = dtype

    def forward(self, x: Tensor) -> Tensor:
        wide = x.to(self.dtype or x.dtype)
        normed = wide * torch.rsqrt(wide.square().mean(-1, keepdim=True) + EPSILON)
        return self.weight * normed.to(x.dtype)


class Net(nn.Module):
    """Linear, norm, GELU, linear."""

    def __init__(self, dtype: torch.dtype | None = torch.float32) -> None:
        super().__init__()
        self.inner = nn.Linear(FEATURES, HIDDEN)
        self.norm = Norm(dtype)
        self.outer = nn.Linear(HIDDEN, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        found: Tensor = self.outer(nn.functional.gelu(self.norm(self.inner(x))))
        return found


def loss(model: nn.Module, batch: dict[str, Tensor]) -> Tensor:
    return nn.functional.cross_entropy(model(batch["inputs"]), batch["labels"])


class NormTwin(nnx.Module):
    """The same in JAX."""

    def __init__(self, dtype: Any) -> None:
        self.scale = nnx.Param(jnp.ones(HIDDEN))
        self.dtype, self.epsilon = dtype, EPSILON

    def __call__(self, x: jax.Array) -> jax.Array:
        wide = x.astype(self.dtype or x.dtype)
        normed = wide * jax.lax.rsqrt(jnp.mean(wide**2, axis=-1, keepdims=True) + self.epsilon)
        return self.scale[...] * normed.astype(x.dtype)


class NetTwin(nnx.Module):
    """The same in JAX."""

    def __init__(self, rngs: nnx.Rngs, dtype: Any = jnp.float32) -> None:
        self.inner = nnx.Linear(FEATURES, HIDDEN, rngs=rngs)
        self.norm = NormTwin(dtype)
        self.outer = nnx.Linear(HIDDEN, CLASSES, rngs=rngs)

    def __call__(self, x: jax.Array) -> jax.Array:
        return self.outer(nnx.gelu(self.norm(self.inner(x)), approximate=False))


TORCH: dict[str, dict[str, Any]] = {"float64": {"model": partial(Net, None)}, "float32": {}}
JAX: dict[str, dict[str, Any]] = {"float64": {"model": partial(NetTwin, dtype=None)}, "float32": {}}
"""What a side names for its norm to compute in that dtype."""


def loss_of_twin(model: Any, batch: dict[str, jax.Array]) -> jax.Array:
    losses = optax.softmax_cross_entropy_with_integer_labels(model(batch["inputs"]), batch["labels"])
    return jnp.mean(losses)


def drawn(seed: int) -> Arrays:
    """Parameters, none as its layer begins. What goes into the norm is so small that its epsilon counts."""
    numbers = np.random.default_rng(seed)
    sizes = {"inner.weight": 2e-3, "inner.bias": 2e-3}
    shapes = {name: tuple(tensor.shape) for name, tensor in Net().state_dict().items()}
    return {name: sizes.get(name, 1.0) * numbers.standard_normal(shape) for name, shape in shapes.items()}


def pair(torch_side: dict[str, Any] | None = None, jax_side: dict[str, Any] | None = None, **others: Any) -> Pair:
    """The pair, both of its sides casting where nobody says otherwise."""
    given: dict[str, Any] = {
        "name": "casting",
        "batches": random_batches(inputs=(8, FEATURES), labels=(8,), classes=CLASSES, steps=4),
        "parameters": drawn,
    }
    ours = {"model": Net, "loss": loss, "optimizer": partial(torch.optim.Adam, lr=1e-3)}
    theirs = {"model": NetTwin, "loss": loss_of_twin, "optimizer": partial(optax.adam, 1e-3)}
    return Pair(torch=ours | (torch_side or {}), jax=theirs | (jax_side or {}), **(given | others))


def first(verdict: Verdict) -> Comparison:
    assert verdict.first_difference is not None, [stage.reason for stage in verdict.stages]
    return verdict.first_difference.comparison
