"""Any `nn.Module` beside any Flax Linen module."""

from __future__ import annotations

from dataclasses import replace
from functools import cache, partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import optax
import pytest
import torch
from flax import linen as nn

from parity import Pair, check, random_batches
from parity.errors import NotCheckable
from parity.pair.importing import load_pair
from parity.recording import Key
from parity.verdict import Verdict
from parity_tests.parity import small_linen
from parity_tests.parity.judging.test_check_modules import expect_names_of_torch, first_of
from parity_tests.parity.judging.test_check_scanned import pair as scanned
from parity_tests.parity.scanned_jax import LinenNet
from parity_tests.parity.scanned_torch import WIDTH
from parity_tests.parity.small_linen import Small
from parity_tests.parity.small_torch import CLASSES
from parity_tests.ports.linen_counterparts import BatchNorm

pytestmark = pytest.mark.usefixtures("compiled_quickly")


def pair(torch: str = "small_torch:Small", **jax: Any) -> Pair:
    """The small pair with a side in Linen, some parts of it replaced; or another model of torch's with its loss."""
    module, name = torch.split(":")
    in_torch, in_linen = f"parity_tests.parity.{module}", "parity_tests.parity.small_linen"
    of_torch = {"model": f"{in_torch}:{name}", "loss": f"{in_torch}:loss", "optimizer": f"{in_torch}:optimizer"}
    of_jax = {"model": f"{in_linen}:Small", "loss": f"{in_linen}:loss", "optimizer": f"{in_linen}:optimizer"}
    batches = random_batches(inputs=(8, 5), labels=(8,), classes=CLASSES, steps=2)
    return Pair(torch=of_torch, jax=of_jax | jax, batches=batches, name="small")


@cache
def right() -> Verdict:
    return check(pair())


def test_they_agree_in_every_stage_and_dtype() -> None:
    assert right().outcome == "agree", right().first_difference or [stage.reason for stage in right().stages]


def test_layers_gradients_and_batch_statistics_are_compared_under_the_names_of_torch() -> None:
    expect_names_of_torch(right())
    assert "held on the torch side only: norm.num_batches_tracked" in right().listed
    assert not [line for line in right().listed if "layer" in line]


def test_the_convolutional_net_agrees_with_its_port_to_linen() -> None:
    verdict = check(
        replace(load_pair(Path(__file__).parents[2] / "pairs" / "convnet_linen.py"), steps=1), dtypes=("float64",)
    )
    assert verdict.outcome == "agree", verdict.first_difference or [stage.reason for stage in verdict.stages]
    compared = {c.key.tensor for c in verdict.comparisons if c.key.stage == "forward"}
    assert {f"{layer}.{what}" for layer in ("conv2", "bn2", "fc1") for what in ("input", "output")} < compared


class StockNorm(nn.BatchNorm):
    """Flax's own, whose running variance is the biased one."""

    momentum: float = 0.9
    use_fast_variance: bool = False

    def __call__(self, x: jax.Array, *, train: bool) -> jax.Array:  # type: ignore[override]
        found: jax.Array = super().__call__(x, use_running_average=not train)
        return found


class NotUpdated(BatchNorm):
    """Its batch statistics stay as they were."""

    momentum: float = 0.0


def in_training(model: Small, batch: dict[str, jax.Array], train: bool) -> jax.Array:
    """Knows no other mode."""
    return small_linen.loss(model, batch, True)


PLANTED: dict[str, tuple[dict[str, Any], Key]] = {
    "stock batch norm": ({"model": partial(Small, StockNorm)}, Key("update", 0, "norm.running_var")),
    "batch statistics that are not updated": (
        {"model": partial(Small, NotUpdated)},
        Key("update", 0, "norm.running_mean"),
    ),
    "another rate of dropout": ({"model": partial(Small, rate=0.3)}, Key("forward", 0, "outer.input")),
    "scored in training mode": ({"loss": in_training}, Key("score", 0, "held out.output")),
}


@pytest.mark.parametrize("mistake", PLANTED)
def test_a_mistake_is_found_where_it_was_planted(mistake: str) -> None:
    parts, expected = PLANTED[mistake]
    assert first_of(check(pair(**parts))) == expected


class Transposed(nn.Module):
    """A linear layer that multiplies by its square kernel the wrong way round."""

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        size = x.shape[-1]
        kernel = self.param("kernel", nn.initializers.ones, (size, size))
        return x @ kernel.T + self.param("bias", nn.initializers.zeros, (size,))


class Square(nn.Module):
    @nn.compact
    def __call__(self, x: jax.Array, train: bool) -> jax.Array:
        found: jax.Array = nn.Dense(CLASSES, name="outer")(jnp.tanh(Transposed(name="inner")(x)))
        return found


def test_a_square_kernel_that_is_transposed_is_found_in_its_layer() -> None:
    assert first_of(check(pair("plain_torch:Plain", model=Square))) == Key("forward", 0, "inner.output")


def positional(model: Any, batch: dict[str, jax.Array], train: bool) -> jax.Array:
    return small_linen.cross_entropy(model(batch["inputs"], train), batch)


def positional_predict(model: Any, batch: dict[str, jax.Array], train: bool) -> Any:
    return model(batch["inputs"], train)


UNSEEN: dict[str, tuple[dict[str, Any], str]] = {
    "a layer": (
        {"model": lambda: Small(dense=nn.remat(nn.Dense))},
        "layers of the torch side that no module of the jax side stands for, or one that is called inside a loop or "
        "jit, where `parity.tap` may show more: inner",
    ),
    "the whole model": (
        {"model": lambda: nn.remat(Small, static_argnums=(2,))(), "predict": positional_predict},
        "layers were not seen on the jax side: of inner, norm, outer, only parameters and gradients are compared; "
        "`parity.tap` may show more",
    ),
}


@pytest.mark.parametrize("inside", UNSEEN)
def test_layers_inside_a_transformation_are_told_and_not_compared(inside: str) -> None:
    parts, line = UNSEEN[inside]
    verdict = check(pair(loss=positional, **parts), dtypes=("float64",))
    assert verdict.outcome == "agree", verdict.first_difference or [stage.reason for stage in verdict.stages]
    assert line in verdict.listed
    compared = {c.key.tensor for c in verdict.comparisons if c.key.stage == "forward"}
    assert ("inner.output" in compared, "norm.output" in compared, "output" in compared) == (
        False, inside == "a layer", True,
    )  # fmt: skip


class Heads(nn.Module):
    """Features on two axes behind its first layer, as heads have them; `turned` where they change places there."""

    turned: bool = False

    @nn.compact
    def __call__(self, x: jax.Array, train: bool) -> jax.Array:
        x = jnp.tanh(nn.DenseGeneral((2, 3), name="inner")(x))
        x = x.swapaxes(1, 2).reshape(-1, 2, 3) if self.turned else x
        found: jax.Array = nn.DenseGeneral(CLASSES, axis=(-2, -1), name="outer")(x)
        return found


class InTorch(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.inner = torch.nn.Linear(5, 6)
        self.outer = torch.nn.Linear(6, CLASSES)

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        found: torch.Tensor = self.outer(torch.tanh(self.inner(inputs)))
        return found


@pytest.mark.parametrize("turned", [False, True])
def test_features_on_several_axes_are_compared_on_the_one_that_torch_has(turned: bool) -> None:
    whole = pair("plain_torch:Plain", model=partial(Heads, turned), optimizer=lambda: optax.adam(0.03))
    verdict = check(replace(whole, torch=replace(whole.torch, model=InTorch)), dtypes=("float64",))
    assert not [line for line in verdict.listed if "another shape" in line]
    if turned:
        assert first_of(verdict) == Key("forward", 0, "outer.input")
    else:
        assert verdict.outcome == "agree", verdict.first_difference
        compared = {c.key.tensor for c in verdict.comparisons if c.key.stage in ("forward", "backward")}
        assert {"inner.output", "outer.input"} <= compared


class UntypedNorm(nn.Module):
    """A layer norm by hand, whose initializers are asked for no dtype: with 64 bits they draw float64."""

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        scale = self.param("scale", nn.initializers.ones, (x.shape[-1],))
        bias = self.param("bias", nn.initializers.zeros, (x.shape[-1],))
        found: jax.Array = (x - x.mean(-1, keepdims=True)) / jnp.sqrt(x.var(-1, keepdims=True) + 1e-5) * scale + bias
        return found


class ScannedBlock(nn.Module):
    @nn.compact
    def __call__(self, x: jax.Array) -> tuple[jax.Array, None]:
        y = nn.Dense(2 * WIDTH, name="widen")(UntypedNorm(name="norm")(x))
        return x + nn.Dense(WIDTH, name="mix")(nn.Dense(WIDTH, name="narrow")(jnp.tanh(y))), None


def test_initializers_without_a_dtype_do_not_part_what_a_scan_carries_on() -> None:
    verdict = check(scanned("linen", model=partial(LinenNet, block=ScannedBlock)), dtypes=("float64",))
    assert verdict.outcome == "agree", verdict.first_difference or [stage.reason for stage in verdict.stages]
    assert [c for c in verdict.comparisons if c.key.tensor == "blocks.1.norm.output"]


class Drawing(Small):
    """A model that draws noise for itself."""

    def __call__(self, inputs: jax.Array, train: bool) -> jax.Array:
        noise = jax.random.normal(self.make_rng("noise"), inputs.shape, inputs.dtype)
        return super().__call__(inputs + 0 * noise, train)


def test_what_draws_numbers_of_its_own_is_not_comparable() -> None:
    verdict = check(pair(model=Drawing))
    assert verdict.outcome == "inconclusive"
    reasons = {stage.stage: stage.reason for stage in verdict.stages}
    assert reasons["forward"].startswith("not comparable: the jax side draws random numbers of its own")
    assert "an argument `train` is told" in reasons["forward"]


@pytest.mark.parametrize(
    ("parts", "words"),
    [
        ({"model": partial(Small, bias=False)}, r"no JAX leaf for outer\.bias"),
        ({"loss": lambda model, batch: model(batch["images"])}, r"the jax side's loss failed: KeyError: 'images'"),
        ({"loss": lambda model, batch: batch["inputs"].sum()}, "the jax side's model has no parameters"),
    ],
)
def test_what_cannot_be_used_is_named_in_one_line(parts: dict[str, Any], words: str) -> None:
    with pytest.raises(NotCheckable, match=words) as told:
        check(pair(**parts))
    assert "\n" not in str(told.value)
