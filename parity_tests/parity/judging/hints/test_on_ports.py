"""Mistakes planted in real ports are told for what they are, by the whole check."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import optax
import pytest
from flax import nnx

from parity.judging.check import check
from parity.pair.importing import load_pair
from parity_tests.ports.convnet import in_jax as convnet
from parity_tests.ports.gpt import in_jax as gpt

PAIRS = Path(__file__).parents[3] / "pairs"
FITS = "on the torch side it fits"


def other_epsilon(rngs: nnx.Rngs) -> nnx.Module:
    net = gpt.Net(rngs)
    net.h[0].ln_1.epsilon = 1e-6
    return net


class ExactGelu(gpt.MLP):
    def __call__(self, x: jax.Array) -> jax.Array:
        return self.c_proj(nnx.gelu(self.c_fc(x), approximate=False))


def exact_gelu(rngs: nnx.Rngs) -> nnx.Module:
    net = gpt.Net(rngs)
    net.h[0].mlp = ExactGelu(rngs)
    return net


def summed(model: gpt.Net, batch: dict[str, jax.Array]) -> jax.Array:
    return jnp.sum(optax.softmax_cross_entropy_with_integer_labels(model(batch["tokens"]), batch["targets"]))


def stock_batch_norm(rngs: nnx.Rngs) -> nnx.Module:
    net: Any = convnet.Net(rngs)
    net.bn1 = nnx.BatchNorm(8, momentum=0.9, epsilon=1e-5, use_fast_variance=False, rngs=rngs)
    made: nnx.Module = net
    return made


def adamw(rate: float = 1e-3, **options: float) -> Callable[[], optax.GradientTransformation]:
    return lambda: optax.adamw(rate, **{"weight_decay": 0.01} | options)


PLANTED: dict[str, tuple[str, dict[str, Any], str, str]] = {
    "LayerNorm's epsilon": ("gpt", {"model": other_epsilon}, "h.0.ln_1.output",
                            f"as with epsilon 1e-06 where {FITS} 1e-05"),
    "exact GELU": ("gpt", {"model": exact_gelu}, "h.0.mlp.c_proj.input",
                   f"as with exact GELU after h.0.mlp.c_fc.output where {FITS} tanh GELU"),
    "learning rate": ("gpt", {"optimizer": adamw(1.01e-3)}, "wte.weight",
                      "AdamW: lr 0.00101 on the jax side, 1.01 times as large as 0.001 on the torch side"),
    "Optax's own weight decay": ("gpt", {"optimizer": adamw(weight_decay=1e-4)}, "wte.weight",
                                 "AdamW: weight_decay 0.0001 on the jax side, 0.01 on the torch side"),
    "Adam's epsilon": ("convnet", {"optimizer": lambda: optax.adam(1e-3, eps=1e-7)}, "conv1.weight",
                       "Adam: eps 1e-07 on the jax side, 1e-08 on the torch side"),
    "sum for mean": ("gpt", {"loss": summed}, "loss", "64 times as large, as with the sum over 4 x 16 for its mean"),
    "stock BatchNorm": ("convnet", {"model": stock_batch_norm}, "bn1.running_var",
                        f"as with the biased variance of the batch where {FITS} the unbiased variance"),
}  # fmt: skip
QUICK = ("exact GELU", "LayerNorm's epsilon")


@pytest.mark.parametrize("name", [n if n in QUICK else pytest.param(n, marks=pytest.mark.proof) for n in PLANTED])
def test_a_planted_mistake_is_told_for_what_it_is(name: str) -> None:
    file, parts, tensor, words = PLANTED[name]
    right = load_pair(PAIRS / f"{file}.py")
    # A mistake of the forward pass needs no more than that, and much less time.
    stages = ("data", "init", "forward", "loss") if "model" in parts and "running" not in tensor else right.stages
    verdict = check(replace(right, steps=1, stages=stages, jax=replace(right.jax, **parts)), loops=())
    assert verdict.first_difference is not None
    assert verdict.first_difference.comparison.key.tensor == tensor
    side = "" if "optimizer" in parts else "on the jax side it is "
    assert verdict.first_difference.looks_like.startswith(f"{side}{words} (explains it ")
