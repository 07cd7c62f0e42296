"""A JAX side whose blocks are scanned, so that one of its arrays holds what torch keeps in an array for each block."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import cache, partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import optax
import pytest
import torch
from flax import nnx
from torch import Tensor, nn

from parity import Pair, WeightMap, check, random_batches
from parity.errors import NotCheckable
from parity.golden.check import check_against, write_golden
from parity.recording import FRAMEWORKS, Framework, Key
from parity.sides.live import live_side
from parity.verdict import Verdict
from parity_tests.parity import scanned_jax, scanned_torch
from parity_tests.parity.judging.test_check_modules import first_of
from parity_tests.parity.scanned_jax import LinenNet, NnxBlock, NnxNet, params, predict
from parity_tests.parity.scanned_torch import BLOCKS, CLASSES, FEATURES, WIDTH
from parity_tests.ports.counterparts import BatchNorm

pytestmark = pytest.mark.usefixtures("compiled_quickly")

STYLES: dict[str, dict[str, Any]] = {
    "linen": {"model": LinenNet, "loss": scanned_jax.loss},
    "nnx": {"model": NnxNet, "loss": scanned_jax.loss},
    "plain": {"model": params, "loss": scanned_jax.plain_loss, "predict": predict},
}
SQUARE = {"blocks.0.mix.weight": "transpose"}
"""What a plain tree does not tell of a square matrix, for all blocks at once."""
LISTED = f"blocks is taken to hold {BLOCKS} layers stacked along axis 0, blocks.0 to blocks.{BLOCKS - 1}"


def pair(
    style: str, of_torch: dict[str, Any] | None = None, others: dict[str, Any] | None = None, **of_jax: Any
) -> Pair:
    """The scanned pair with a JAX side in that style, some parts of either side replaced."""
    in_torch = {"model": scanned_torch.Net, "loss": scanned_torch.loss, "optimizer": scanned_torch.optimizer}
    in_jax = STYLES[style] | {"optimizer": scanned_jax.optimizer}
    batches = random_batches(inputs=(8, FEATURES), labels=(8,), classes=CLASSES, steps=2)
    given: dict[str, Any] = {"weight_map": SQUARE if style == "plain" else {}} | (others or {})
    return Pair(torch=in_torch | (of_torch or {}), jax=in_jax | of_jax, batches=batches, name="scanned", **given)


@cache
def right(style: str) -> Verdict:
    return check(pair(style))


@pytest.mark.parametrize("style", STYLES)
def test_they_agree_in_each_style_and_every_block_is_compared_under_its_number(style: str) -> None:
    verdict = right(style)
    assert verdict.outcome == "agree", verdict.first_difference or [stage.reason for stage in verdict.stages]
    assert LISTED in verdict.listed
    compared = {(c.key.stage, c.key.tensor) for c in verdict.comparisons if c.dtype == "float64"}
    for index in range(BLOCKS):
        for stage, what in (("init", ""), ("backward", ""), ("update", "exp_avg."), ("trajectory", "")):
            assert (stage, f"{what}blocks.{index}.narrow.weight") in compared


@pytest.mark.parametrize("style", ["linen", "nnx"])
def test_what_goes_into_each_layer_of_each_block_and_comes_out_of_it_is_compared(style: str) -> None:
    compared = {c.key.tensor for c in right(style).comparisons if c.key.stage == "forward"}
    inside = {f"blocks.{index}.{name}" for index in range(BLOCKS) for name in ("norm", "widen", "narrow", "mix")}
    assert {f"{name}.{what}" for name in {"embed", "head"} | inside for what in ("input", "output")} < compared
    assert not [line for line in right(style).listed if "no module of the jax side stands for" in line]


# Planted mistakes


def with_blocks(change: Callable[[Any], Any]) -> dict[str, Any]:
    """The plain style with other numbers in its blocks."""

    def changed(parameters: Any, batch: Any) -> jax.Array:
        return predict(parameters | {"blocks": change(parameters["blocks"])}, batch)

    return {
        "predict": changed,
        "loss": lambda parameters, batch: scanned_jax.cross_entropy(changed(parameters, batch), batch),
    }


def in_block(index: int, layer: str, change: Callable[[jax.Array], jax.Array]) -> dict[str, Any]:
    """The weight of one layer of one block changed."""

    def changed(blocks: Any) -> Any:
        weight = blocks[layer]["w"]
        return blocks | {layer: blocks[layer] | {"w": weight.at[index].set(change(weight[index]))}}

    return with_blocks(changed)


def along_the_other_axis(blocks: Any) -> Any:
    """Of one layer, each block takes a slice across all blocks. The widths are those of the blocks."""
    weight = blocks["mix"]["w"]
    return blocks | {"mix": blocks["mix"] | {"w": jnp.moveaxis(weight, 1, 0)}}


def as_many_as_wide() -> nn.Module:
    model = scanned_torch.Net()
    model.blocks = nn.ModuleList(scanned_torch.Block() for _ in range(WIDTH))
    return model


class Reversed(NnxNet):
    """Goes through the blocks from the last to the first."""

    def __call__(self, inputs: jax.Array) -> jax.Array:
        @nnx.scan(in_axes=(nnx.Carry, 0), out_axes=nnx.Carry, reverse=True)
        def through(x: jax.Array, block: NnxBlock) -> jax.Array:
            return block(x)

        found: jax.Array = self.head(through(self.embed(inputs), self.blocks))
        return found


OUTPUT, FIRST = Key("forward", 0, "output"), Key("forward", 0, "blocks.0.norm.input")
PLANTED: dict[str, tuple[Pair, Key]] = {
    "two blocks swapped on load": (
        pair("plain", **with_blocks(lambda blocks: jax.tree.map(lambda leaf: leaf[jnp.array([1, 0, 2])], blocks))),
        OUTPUT,
    ),
    "a square weight of one block transposed": (pair("plain", **in_block(1, "mix", jnp.transpose)), OUTPUT),
    "the wrong axis of one array": (
        pair("plain", {"model": as_many_as_wide}, model=partial(params, WIDTH), **with_blocks(along_the_other_axis)),
        OUTPUT,
    ),
    "the gradient of one block stopped": (
        pair("plain", **in_block(1, "narrow", jax.lax.stop_gradient)), Key("backward", 0, "blocks.1.narrow.weight"),
    ),
    "the scan run in reverse, nn.scan": (pair("linen", model=partial(LinenNet, reverse=True)), FIRST),
    "the scan run in reverse, nnx.scan": (pair("nnx", model=Reversed), FIRST),
}  # fmt: skip


@pytest.mark.parametrize("mistake", PLANTED)
def test_a_mistake_is_found_where_it_was_planted(mistake: str) -> None:
    planted, expected = PLANTED[mistake]
    assert first_of(check(planted, dtypes=("float64",))) == expected


def test_as_many_blocks_as_they_are_wide_agree() -> None:
    verdict = check(pair("plain", {"model": as_many_as_wide}, model=partial(params, WIDTH)), dtypes=("float64",))
    assert verdict.outcome == "agree", verdict.first_difference or [stage.reason for stage in verdict.stages]


@pytest.mark.parametrize("style", ["linen", "plain"])
@pytest.mark.parametrize(
    ("blocks", "words"),
    [(BLOCKS - 1, r"no JAX leaf for blocks\.2\.norm"), (BLOCKS + 1, r"no torch tensor for blocks\.3\.")],
)
def test_a_block_too_few_or_too_many_is_named(style: str, blocks: int, words: str) -> None:
    model = partial(params, blocks) if style == "plain" else partial(LinenNet, blocks=blocks)
    with pytest.raises(NotCheckable, match=words) as told:
        check(pair(style, model=model))
    assert "\n" not in str(told.value)


def test_arrays_that_are_stacked_along_their_second_axis_agree() -> None:
    verdict = check(pair("linen", model=partial(LinenNet, axis=1)), dtypes=("float64",))
    assert verdict.outcome == "agree", verdict.first_difference or [stage.reason for stage in verdict.stages]
    assert LISTED.replace("axis 0", "axis 1") in verdict.listed


# An optimizer that looks at a leaf as a whole

LARGEST = 0.003


def clipped_one_by_one(parameters: Iterable[Tensor]) -> None:
    """Each gradient by the mean of its squares, as `optax.clip_by_block_rms` does."""
    for parameter in parameters:
        assert parameter.grad is not None
        parameter.grad /= torch.clamp(parameter.grad.square().mean().sqrt() / LARGEST, min=1)


def by_leaf() -> optax.GradientTransformation:
    return optax.chain(optax.clip_by_block_rms(LARGEST), optax.sgd(0.1))


def sgd(parameters: Iterable[Tensor]) -> torch.optim.Optimizer:
    return torch.optim.SGD(parameters, lr=0.1)


class Unrolled(nnx.Module):
    """The blocks one after the other, each with arrays of its own."""

    def __init__(self, rngs: nnx.Rngs) -> None:
        self.embed = nnx.Linear(FEATURES, WIDTH, rngs=rngs)
        self.blocks = nnx.List([NnxBlock(rngs) for _ in range(BLOCKS)])
        self.head = nnx.Linear(WIDTH, CLASSES, rngs=rngs)

    def __call__(self, inputs: jax.Array) -> jax.Array:
        x = self.embed(inputs)
        for block in self.blocks:
            x = block(x)
        return self.head(x)


def test_what_an_optimizer_does_to_a_leaf_as_a_whole_is_another_thing_where_blocks_are_stacked() -> None:
    of_torch = {"optimizer": sgd, "clip": clipped_one_by_one}
    unrolled = check(pair("nnx", of_torch, model=Unrolled, optimizer=by_leaf), dtypes=("float64",))
    assert unrolled.outcome == "agree", unrolled.first_difference or [stage.reason for stage in unrolled.stages]
    stacked = check(pair("nnx", of_torch, optimizer=by_leaf), dtypes=("float64",))
    found = first_of(stacked)
    assert (found.stage, found.tensor.partition(".")[0]) == ("update", "blocks")
    outside = {
        c.key.tensor
        for c in stacked.comparisons
        if c.key.stage == "update" and c.key.step == 0 and c.outcome != "agree"
    }
    assert outside
    assert all(name.startswith("blocks.") for name in outside)


# Torch's own optimizer, translated


def without_norms(*, blocks: Iterable[int]) -> nn.Module:
    model = scanned_torch.Net()
    for index in blocks:
        model.blocks[index].norm.requires_grad_(False)
    return model


def test_torchs_optimizer_is_translated_and_what_is_frozen_in_all_blocks_stays() -> None:
    model = partial(without_norms, blocks=range(BLOCKS))
    verdict = check(
        pair("linen", {"model": model}, {"frozen": ("blocks.*.norm.*",)}, optimizer=None), dtypes=("float64",)
    )
    assert verdict.outcome == "agree", verdict.first_difference or [stage.reason for stage in verdict.stages]


def test_what_is_frozen_in_one_block_alone_is_not_translated() -> None:
    model = partial(without_norms, blocks=[0])
    words = (
        r"blocks\.norm\.scale holds frozen parameters of torch's, and blocks\.1\.norm\.weight, which moves: name the"
    )
    with pytest.raises(NotCheckable, match=words):
        check(pair("linen", {"model": model}, {"frozen": ("blocks.0.norm.*",)}, optimizer=None))


# Where the blocks keep something


class NormedInTorch(nn.Module):
    """The net with a batch norm in each block."""

    def __init__(self) -> None:
        super().__init__()
        self.net = scanned_torch.Net()
        for block in self.net.blocks:
            block.norm = nn.BatchNorm1d(WIDTH)

    def forward(self, inputs: Tensor) -> Tensor:
        found: Tensor = self.net(inputs)
        return found


class Normed(NnxBlock):
    def __init__(self, rngs: nnx.Rngs) -> None:
        super().__init__(rngs)
        self.norm = BatchNorm(WIDTH, rngs=rngs)


class StockNormed(NnxBlock):
    """With Flax's own, whose running variance is the biased one."""

    def __init__(self, rngs: nnx.Rngs) -> None:
        super().__init__(rngs)
        self.norm = nnx.BatchNorm(WIDTH, momentum=0.9, use_fast_variance=False, rngs=rngs)


class NormedNet(NnxNet):
    block = Normed


class StockNormedNet(NnxNet):
    block = StockNormed


def test_running_statistics_of_each_block_are_compared() -> None:
    verdict = check(pair("nnx", {"model": NormedInTorch}, model=NormedNet), dtypes=("float64",))
    assert verdict.outcome == "agree", verdict.first_difference or [stage.reason for stage in verdict.stages]
    found = check(pair("nnx", {"model": NormedInTorch}, model=StockNormedNet), dtypes=("float64",))
    assert first_of(found) == Key("update", 0, "net.blocks.0.norm.running_var")


# Recordings and saved maps


@pytest.mark.parametrize("recorded", FRAMEWORKS)
def test_a_recording_of_either_side_is_as_good(recorded: Framework, tmp_path: Path) -> None:
    file = tmp_path / "scanned.parity"
    write_golden(pair("nnx"), recorded, file)
    assert check_against(pair("nnx"), file).outcome == "agree"
    if recorded == "torch":
        assert first_of(check_against(pair("nnx", model=Reversed), file)) == FIRST


def test_a_saved_map_is_taken_and_one_with_two_blocks_exchanged_is_caught(tmp_path: Path) -> None:
    weights = live_side(pair("nnx").jax, "jax", "float32", "cpu").weight_map
    assert weights is not None
    weights.save(tmp_path / "scanned.json")
    given = WeightMap.load(tmp_path / "scanned.json")
    assert check(pair("nnx", others={"weight_map": given}), dtypes=("float64",)).outcome == "agree"
    text = (tmp_path / "scanned.json").read_text()
    zero, one = '"at": [[0, 0]]', '"at": [[0, 1]]'
    (tmp_path / "crossed.json").write_text(text.replace(zero, "#").replace(one, zero).replace("#", one))
    crossed = WeightMap.load(tmp_path / "crossed.json")
    assert first_of(check(pair("nnx", others={"weight_map": crossed}), dtypes=("float64",))) == Key(
        "forward", 0, "blocks.0.widen.output"
    )
