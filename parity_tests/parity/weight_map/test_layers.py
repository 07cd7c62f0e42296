"""Each kind of layer beside its Flax twin: the map is found, comes back bit for bit, and both say the same."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from torch import nn

from parity_tests.parity.weight_map.both import carried, drawn, filled, mapped, outputs_agree

F64: dict[str, Any] = {"param_dtype": jnp.float64}


class Twin(NamedTuple):
    torch: Callable[[], nn.Module]
    jax: Callable[[nnx.Rngs], Any]
    inputs: tuple[int, ...]
    images: bool = False


def heads_first(r: nnx.Rngs) -> Any:
    return nnx.LinearGeneral(6, (2, 5), rngs=r, **F64)


class Joined(nnx.Module):
    def __init__(self, rngs: nnx.Rngs) -> None:
        self.inner = heads_first(rngs)

    def __call__(self, inputs: jax.Array) -> jax.Array:
        heads: jax.Array = self.inner(inputs)
        return heads.reshape(*heads.shape[:-2], -1)


TWINS = {
    "linear": Twin(lambda: nn.Linear(3, 5), lambda r: nnx.Linear(3, 5, rngs=r, **F64), (2, 3)),
    "linear square": Twin(lambda: nn.Linear(4, 4), lambda r: nnx.Linear(4, 4, rngs=r, **F64), (2, 4)),
    "linear without bias": Twin(
        lambda: nn.Linear(3, 5, bias=False), lambda r: nnx.Linear(3, 5, use_bias=False, rngs=r, **F64), (2, 3)
    ),
    "linear in heads": Twin(lambda: nn.Linear(6, 10), Joined, (2, 6)),
    "conv1d": Twin(
        lambda: nn.Conv1d(3, 5, 4), lambda r: nnx.Conv(3, 5, (4,), padding="VALID", rngs=r, **F64), (2, 3, 9), True
    ),
    "conv2d in groups": Twin(
        lambda: nn.Conv2d(4, 6, (3, 2), stride=2, groups=2),
        lambda r: nnx.Conv(4, 6, (3, 2), 2, padding="VALID", feature_group_count=2, rngs=r, **F64),
        (2, 4, 9, 8),
        True,
    ),
    "conv2d all sizes equal": Twin(
        lambda: nn.Conv2d(3, 3, 3), lambda r: nnx.Conv(3, 3, (3, 3), padding="VALID", rngs=r, **F64), (2, 3, 5, 5), True
    ),
    "conv3d": Twin(
        lambda: nn.Conv3d(2, 3, (1, 3, 2)),
        lambda r: nnx.Conv(2, 3, (1, 3, 2), padding="VALID", rngs=r, **F64),
        (2, 2, 3, 4, 5),
        True,
    ),
    "transposed conv1d": Twin(
        lambda: nn.ConvTranspose1d(3, 5, 4, stride=2),
        lambda r: nnx.ConvTranspose(3, 5, (4,), 2, padding="VALID", rngs=r, **F64),
        (2, 3, 5),
        True,
    ),
    "transposed conv2d": Twin(
        lambda: nn.ConvTranspose2d(3, 3, (3, 2)),
        lambda r: nnx.ConvTranspose(3, 3, (3, 2), padding="VALID", rngs=r, **F64),
        (2, 3, 5, 4),
        True,
    ),
    "transposed conv2d, transposed kernel": Twin(
        lambda: nn.ConvTranspose2d(3, 3, (3, 2), stride=2),
        lambda r: nnx.ConvTranspose(3, 3, (3, 2), 2, padding="VALID", transpose_kernel=True, rngs=r, **F64),
        (2, 3, 5, 4),
        True,
    ),
    "batch norm": Twin(
        lambda: nn.BatchNorm2d(3).eval(),
        lambda r: nnx.BatchNorm(3, use_running_average=True, epsilon=1e-5, rngs=r, **F64),
        (2, 3, 4, 5),
        True,
    ),
    "layer norm": Twin(lambda: nn.LayerNorm(5), lambda r: nnx.LayerNorm(5, epsilon=1e-5, rngs=r, **F64), (2, 3, 5)),
    "group norm": Twin(
        lambda: nn.GroupNorm(2, 6),
        lambda r: nnx.GroupNorm(6, num_groups=2, epsilon=1e-5, use_fast_variance=False, rngs=r, **F64),
        (2, 6, 3, 5),
        True,
    ),
    "rms norm": Twin(lambda: nn.RMSNorm(5, eps=1e-6), lambda r: nnx.RMSNorm(5, epsilon=1e-6, rngs=r, **F64), (2, 3, 5)),
}


@pytest.mark.parametrize("name", TWINS)
def test_a_layer_beside_its_twin(name: str) -> None:
    twin = TWINS[name]
    with jax.enable_x64(True):
        of_torch, of_jax = twin.torch(), twin.jax(nnx.Rngs(0))
        arrays = drawn(of_torch)
        leaves = carried(mapped(of_torch, of_jax), arrays)
        inputs = np.random.default_rng(1).normal(size=twin.inputs)
        assert outputs_agree(of_torch, filled(of_jax, leaves), inputs, images=twin.images)
