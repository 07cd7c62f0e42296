"""Layers that the two sides give the same in another layout, or pad or flatten in another place."""

from __future__ import annotations

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import pytest
import torch
from flax import nnx
from torch import Tensor, nn

from parity import Verdict, random_batches, whole
from parity_tests.parity.judging.test_check_layers import checked, first_of
from parity_tests.ports.counterparts import BatchNorm

pytestmark = pytest.mark.usefixtures("compiled_quickly")


class Causal(nn.Module):
    """Pads before it calls its layers."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Conv1d(2, 4, 3, dilation=2), nn.Conv1d(4, 3, 3)

    def forward(self, x: Tensor) -> Tensor:
        y = torch.tanh(self.first(nn.functional.pad(x, (4, 0))))
        found: Tensor = self.second(nn.functional.pad(y, (2, 0))).mean(2)
        return found


class CausalTwin(nnx.Module):
    """Its layers pad by themselves; the padding may be the mistake."""

    def __init__(self, rngs: nnx.Rngs, wrong: bool = False) -> None:
        padding = "SAME" if wrong else "CAUSAL"
        self.first = nnx.Conv(2, 4, (3,), kernel_dilation=2, padding=padding, rngs=rngs)
        self.second = nnx.Conv(4, 3, (3,), padding="CAUSAL", rngs=rngs)

    def __call__(self, x: jax.Array) -> jax.Array:
        return self.second(jnp.tanh(self.first(jnp.swapaxes(x, 1, 2)))).mean(1)


class Flattened(nn.Module):
    """Has one axis for examples and tokens."""

    def __init__(self) -> None:
        super().__init__()
        self.inner, self.norm, self.outer = nn.Linear(4, 5), nn.BatchNorm1d(5), nn.Linear(5, 3)

    def forward(self, x: Tensor) -> Tensor:
        y = torch.tanh(self.norm(self.inner(x.flatten(0, 1))))
        found: Tensor = self.outer(y).unflatten(0, x.shape[:2])
        return found


class FlattenedTwin(nnx.Module):
    """Keeps the two apart; epsilon may be the mistake."""

    def __init__(self, rngs: nnx.Rngs, wrong: bool = False) -> None:
        self.inner, self.outer = nnx.Linear(4, 5, rngs=rngs), nnx.Linear(5, 3, rngs=rngs)
        self.norm = BatchNorm(5, epsilon=1e-3 if wrong else 1e-5, rngs=rngs)

    def __call__(self, x: jax.Array) -> jax.Array:
        return self.outer(jnp.tanh(self.norm(self.inner(x))))


class Images(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Conv2d(3, 4, 3, 2, 1), nn.Conv2d(4, 5, 3, 2, 1)

    def forward(self, x: Tensor) -> Tensor:
        found: Tensor = self.second(torch.tanh(self.first(x))).mean((2, 3))
        return found


class Conv(nnx.Module):
    """A convolution that has its arrays and its images as torch has them; padding may be the mistake."""

    def __init__(self, inputs: int, outputs: int, padding: str | list[tuple[int, int]]) -> None:
        self.weight = nnx.Param(jnp.zeros((outputs, inputs, 3, 3)))
        self.bias = nnx.Param(jnp.zeros(outputs))
        self.padding = padding

    def __call__(self, x: jax.Array) -> jax.Array:
        names = ("NCHW", "OIHW", "NCHW")
        found = jax.lax.conv_general_dilated(x, self.weight[...], (2, 2), self.padding, dimension_numbers=names)
        return found + self.bias[...][:, None, None]


class ImagesTwin(nnx.Module):
    def __init__(self, rngs: nnx.Rngs, wrong: bool = False) -> None:
        symmetric = [(1, 1), (1, 1)]
        self.first, self.second = Conv(3, 4, "SAME" if wrong else symmetric), Conv(4, 5, symmetric)

    def __call__(self, x: jax.Array) -> jax.Array:
        return self.second(jnp.tanh(self.first(x))).mean((2, 3))


PAIRS: dict[str, tuple[Any, Any, tuple[int, ...], str, str]] = {
    "padded before": (Causal, CausalTwin, (3, 2, 9), "second.input (torch (3, 4, 11), jax (3, 4, 9))", "first.input"),
    "flattened before": (
        Flattened,
        FlattenedTwin,
        (3, 6, 4),
        "compared: inner.input (torch (18, 4), jax (3, 6, 4))",
        "output",
    ),
    "channels as torch has them": (Images, ImagesTwin, (2, 3, 8, 8), "on the jax side: first, second", "output"),
}


@pytest.mark.parametrize("name", PAIRS)
def test_what_is_given_otherwise_is_listed_and_a_mistake_in_it_is_found(name: str) -> None:
    of_torch, of_jax, shape, line, first = PAIRS[name]
    batches = random_batches(inputs=shape, steps=2)
    verdict = checked(of_torch, of_jax, batches=batches)
    assert verdict.outcome == "agree", verdict.first_difference or [stage.reason for stage in verdict.stages]
    assert any(line in listed for listed in verdict.listed), verdict.listed

    def wrong(rngs: nnx.Rngs) -> nnx.Module:
        made: nnx.Module = of_jax(rngs, wrong=True)
        return made

    verdict = checked(of_torch, wrong, batches=batches)
    assert (verdict.outcome, first_of(verdict)) == ("differ", first)


# Positions, once on one side and for each example on the other


class Positions(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.table = nn.Embedding(5, 4)
        self.head = nn.Linear(4, 3)

    def forward(self, inputs: Tensor) -> Tensor:
        found: Tensor = self.head(inputs + self.table(torch.arange(5)[None]))
        return found


class PositionsOfEach(nnx.Module):
    """Looks them up for each example; `late` by one."""

    def __init__(self, rngs: nnx.Rngs, late: bool = False) -> None:
        self.table = nnx.Embed(5, 4, rngs=rngs)
        self.head = nnx.Linear(4, 3, rngs=rngs)
        self.late = late

    def __call__(self, inputs: jax.Array) -> jax.Array:
        positions = jnp.broadcast_to((jnp.arange(5) + self.late) % 5, inputs.shape[:2])
        return self.head(inputs + self.table(positions))


@pytest.mark.parametrize("late", [False, True])
def test_positions_may_be_looked_up_once_or_for_each_example(late: bool) -> None:
    batches = random_batches(inputs=(3, 5, 4), steps=2)
    verdict = checked(Positions, lambda rngs: PositionsOfEach(rngs, late), batches=batches)
    assert verdict.outcome == ("differ" if late else "agree"), verdict.first_difference
    if late:
        assert first_of(verdict) == "table.output"
    assert [line for line in verdict.listed if line.endswith("table.output (torch (1, 5, 4), jax (3, 5, 4))")]


# A causal convolution, cut off behind it or padded before it


class Cut(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv1d(4, 4, 3, padding=2, groups=4)
        self.head = nn.Linear(4, 3)

    def forward(self, inputs: Tensor) -> Tensor:
        found: Tensor = self.head(self.conv(inputs.transpose(1, 2))[..., :6].transpose(1, 2))
        return found


class Padded(nnx.Module):
    def __init__(self, rngs: nnx.Rngs, padding: Any) -> None:
        self.conv = nnx.Conv(4, 4, (3,), feature_group_count=4, padding=padding, rngs=rngs)
        self.head = nnx.Linear(4, 3, rngs=rngs)

    def __call__(self, inputs: jax.Array) -> jax.Array:
        return self.head(self.conv(inputs))


@pytest.mark.parametrize("causal", [True, False])
def test_a_causal_convolution_may_be_cut_off_behind_or_padded_before(causal: bool) -> None:
    padding = [(2, 0)] if causal else "SAME"
    verdict = checked(Cut, lambda rngs: Padded(rngs, padding), batches=random_batches(inputs=(3, 6, 4), steps=2))
    assert verdict.outcome == ("agree" if causal else "differ"), verdict.first_difference
    if not causal:
        assert first_of(verdict) == "conv.output"
    assert [line for line in verdict.listed if line.endswith("conv.output (torch (3, 4, 8), jax (3, 4, 6))")]


# Images that come out with their channels last


def channels_last_loss(model: Any, batch: dict[str, jax.Array]) -> jax.Array:
    return jnp.mean(model(jnp.moveaxis(batch["inputs"], 1, -1)) ** 2)


def channels_last_predict(model: Any, batch: dict[str, jax.Array]) -> jax.Array:
    return jnp.moveaxis(model(jnp.moveaxis(batch["inputs"], 1, -1)), -1, 1)


def torch_predict(model: nn.Module, batch: dict[str, Tensor]) -> Any:
    return model(batch["inputs"])


@pytest.mark.parametrize("padding", [1, "CIRCULAR"])
def test_of_an_output_in_another_layout_it_is_said_what_to_do_and_doing_so_is_enough(padding: Any) -> None:
    of_torch = partial(nn.Conv2d, 2, 3, kernel_size=3, padding=1)

    def of_jax(rngs: nnx.Rngs) -> nnx.Module:
        return nnx.Conv(2, 3, (3, 3), padding=padding, rngs=rngs)

    batches = random_batches(inputs=(4, 2, 5, 6), steps=2)
    last = {"loss": channels_last_loss}
    said = "where that is meant, name the part `predict` of both sides, (model, batch) -> output in one layout"
    verdict = checked(of_torch, of_jax, batches=batches, jax=last)
    assert first_of(verdict) == "output"
    assert str(verdict.first_difference).endswith(said) is (padding == 1)
    of_both = {"torch": {"predict": torch_predict}, "jax": last | {"predict": channels_last_predict}}
    verdict = checked(of_torch, of_jax, batches=batches, **of_both)
    assert (verdict.outcome == "agree") is (padding == 1)
    assert said not in str(verdict.first_difference)


# Convolutions that pad otherwise


class Strided(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Conv2d(3, 4, 3, 2), nn.Conv2d(4, 5, 3)

    def forward(self, x: Tensor) -> Tensor:
        found: Tensor = self.second(torch.tanh(self.first(x))).mean((2, 3))
        return found


class StridedTwin(nnx.Module):
    """Leaves torch's default padding, none, for Flax's."""

    def __init__(self, rngs: nnx.Rngs) -> None:
        self.first = nnx.Conv(3, 4, (3, 3), 2, rngs=rngs)
        self.second = nnx.Conv(4, 5, (3, 3), padding="VALID", rngs=rngs)

    def __call__(self, x: jax.Array) -> jax.Array:
        y = self.second(jnp.tanh(self.first(jnp.moveaxis(x, 1, -1))))
        return y.mean((1, 2))


def test_a_convolution_that_pads_otherwise_is_the_first_difference() -> None:
    verdict = checked(Strided, StridedTwin, batches=random_batches(inputs=(2, 3, 9, 9), steps=2))
    assert first_of(verdict) == "first.output"
    assert "torch has shape (2, 4, 4, 4), jax (2, 4, 5, 5)" in str(verdict.first_difference)


class Bags(nn.Module):
    """Pools inside its layer."""

    def __init__(self) -> None:
        super().__init__()
        self.bag, self.head = nn.EmbeddingBag(7, 4, mode="sum"), nn.Linear(4, 3)

    def forward(self, x: Tensor) -> Tensor:
        found: Tensor = self.head(self.bag(x))
        return found


class BagsTwin(nnx.Module):
    """Pools behind its layer; `scale` is a mistake made there."""

    def __init__(self, rngs: nnx.Rngs, scale: float = 1.0) -> None:
        self.bag, self.head = nnx.Embed(7, 4, rngs=rngs), nnx.Linear(4, 3, rngs=rngs)
        self.scale = scale

    def __call__(self, x: jax.Array) -> jax.Array:
        return self.head(self.scale * self.bag(x).sum(1))


def test_behind_a_shape_that_may_be_meant_the_first_difference_of_numbers_is_told_too() -> None:
    def found(**more: Any) -> Verdict:
        return checked(Bags, partial(BagsTwin, **more), batches=random_batches(inputs=whole(7, 4, 5), steps=2))

    assert found().outcome == "agree"
    said = str(found(scale=0.5).first_difference)
    assert "tensor bag.output, float64: torch has shape (4, 4), jax (4, 5, 4); where both shapes are meant, the" in said
    assert "the first difference is forward, step 0, tensor head.input, float64: difference 0.5, limit" in said
    assert said.count("the first difference is") == 1
    assert "it is half as large" in said
