"""What is seen in a loop over layers that are stacked, beside a torch side that calls them one by one."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
from flax import linen, nnx
from jax.lax import scan
from torch import Tensor, nn

from parity import Pair, random_batches
from parity.sides.live import live_side
from parity_tests.parity import scanned_jax, scanned_torch
from parity_tests.parity.scanned_jax import LinenBlock, LinenNet, NnxBlock, NnxNet
from parity_tests.parity.scanned_torch import BLOCKS, CLASSES, FEATURES, WIDTH

pytestmark = pytest.mark.usefixtures("compiled_once")

INSIDE = ("norm", "widen", "narrow", "mix")
ALL = {f"blocks.{index}.{name}" for index in range(BLOCKS) for name in INSIDE}


def pair(model: Any, of_torch: Any = scanned_torch.Net, *, told: Any = None, **of_jax: Any) -> Pair:
    return Pair(
        torch={"model": of_torch, "loss": scanned_torch.loss, "optimizer": scanned_torch.optimizer},
        jax={"model": model, "loss": scanned_jax.loss, "optimizer": scanned_jax.optimizer} | of_jax,
        batches=random_batches(inputs=(8, FEATURES), labels=(8,), classes=CLASSES, steps=1), steps=1, name="turns",
        weight_map=told or {},
    )  # fmt: skip


def seen(model: Any, of_torch: Any = scanned_torch.Net, **of_jax: Any) -> tuple[set[str], set[str]]:
    """The layers and taps that show the same on both sides, on the way there and back; and those that show nothing."""
    asked = pair(model, of_torch, **of_jax)
    of_jax_side = live_side(asked.jax, "jax", "float64", "cpu")
    of_torch_side = live_side(asked.torch, "torch", "float64", "cpu")
    arrays, batch = of_torch_side.initial(0), of_torch_side.batches(0, 1)[0]
    found = of_jax_side.observe(arrays, batch)
    expected = of_torch_side.observe(arrays, batch)
    for own, other in ((found.forward, expected.forward), (found.cotangents, expected.cotangents)):
        for name in own:
            np.testing.assert_allclose(own[name], other[name], rtol=0, atol=1e-12, err_msg=name)
    assert [*of_jax_side.forward(arrays, batch)] == [*found.forward]
    names = {name for name in found.forward if "." in name}
    missing = {name for name in expected.forward if "." in name} - names
    assert {name.partition("#")[0].rpartition(".")[0] for name in missing} <= of_jax_side.unmatched
    return {name.rpartition(".")[0] for name in names}, {*of_jax_side.unmatched}


class Through(NnxNet):
    """Goes through the blocks as `way` says."""

    way: Callable[[Any, jax.Array], jax.Array]

    def __call__(self, inputs: jax.Array) -> jax.Array:
        found: jax.Array = self.head(type(self).way(self.blocks, self.embed(inputs)))
        return found


def through(way: Callable[[Any, jax.Array], jax.Array]) -> type[Through]:
    return type("Through", (Through,), {"way": staticmethod(way)})


def beside(blocks: Any, x: jax.Array) -> jax.Array:
    """Hands out what each turn gives, along another axis, and from the last turn to the first."""

    @nnx.scan(in_axes=(nnx.Carry, 0), out_axes=(nnx.Carry, 1))
    def turn(x: jax.Array, block: Any) -> tuple[jax.Array, jax.Array]:
        y = block(x)
        return y, y

    found: jax.Array = turn(x, blocks)[1][:, -1]
    return found


def kept(blocks: Any, x: jax.Array) -> jax.Array:
    @nnx.scan(in_axes=(nnx.Carry, 0), out_axes=nnx.Carry)
    def turn(x: jax.Array, block: Any) -> Any:
        return nnx.remat(lambda block, x: block(x))(block, x)

    found: jax.Array = turn(x, blocks)
    return found


def with_nothing(blocks: Any, x: jax.Array) -> jax.Array:
    """Carries a number that is written out and nothing at all, two turns at once."""
    graph, state = nnx.split(blocks)

    def turn(carried: Any, given: Any) -> tuple[Any, None]:
        number, x, nothing = carried
        return (number + 1.0, nnx.merge(graph, given[0])(x), nothing), given[1]

    (number, x, _), _ = jax.lax.scan(turn, (0.0, x, None), (state, None), length=BLOCKS, unroll=2)
    found: jax.Array = x + number - BLOCKS
    return found


def by_its_name(blocks: Any, x: jax.Array) -> jax.Array:
    """By a `scan` that was imported by its name."""
    graph, state = nnx.split(blocks)
    found: jax.Array = scan(lambda x, held: (nnx.merge(graph, held)(x), None), x, state)[0]
    return found


def by_index(blocks: Any, x: jax.Array) -> jax.Array:
    """Over numbers, and takes the arrays of each turn by these."""
    graph, state = nnx.split(blocks)

    def turn(x: jax.Array, index: jax.Array) -> tuple[Any, None]:
        return nnx.merge(graph, jax.tree.map(lambda leaf: leaf[index], state))(x), None

    found: jax.Array = jax.lax.scan(turn, x, jnp.arange(BLOCKS))[0]
    return found


def counted(blocks: Any, x: jax.Array) -> jax.Array:
    """Turns the stack around, and goes from its end to its beginning by the number of the turn."""
    graph, state = nnx.split(blocks)
    first = jax.tree.map(lambda leaf: leaf[::-1], state)

    def turn(index: Any, x: jax.Array) -> Any:
        taken = jax.tree.map(lambda leaf: jax.lax.dynamic_index_in_dim(leaf, BLOCKS - 1 - index, keepdims=False), first)
        return nnx.merge(graph, taken)(x)

    found: jax.Array = jax.lax.fori_loop(0, BLOCKS, turn, x)
    return found


LINEN = {
    "nn.scan": LinenNet,
    "along the second axis": partial(LinenNet, axis=1),
    "nn.remat": partial(LinenNet, block=linen.remat(LinenBlock)),
}
NNX = {
    "what each turn gives": beside, "nnx.remat": kept, "None and numbers": with_nothing, "by its name": by_its_name,
    "over numbers": by_index, "jax.lax.fori_loop": counted,
}  # fmt: skip


@pytest.mark.parametrize("way", LINEN)
def test_the_turns_of_linen_are_seen_once_each(way: str) -> None:
    assert seen(LINEN[way]) == ({"embed", "head"} | ALL, set())


@pytest.mark.parametrize("way", NNX)
def test_the_turns_of_nnx_are_seen(way: str) -> None:
    assert seen(through(NNX[way])) == ({"embed", "head"} | ALL, set())


# Loops in loops, and what stands in other lists


class Group(linen.Module):
    """Some blocks in turn."""

    scanned: bool

    @linen.compact
    def __call__(self, x: jax.Array) -> tuple[jax.Array, None]:
        if self.scanned:
            blocks = linen.scan(LinenBlock, variable_axes={"params": 0}, split_rngs={"params": True}, length=2)
            return blocks(name="blocks")(x)
        for index in range(2):
            x, _ = LinenBlock(name=f"blocks_{index}")(x)
        return x, None


class Groups(linen.Module):
    scanned: bool

    @linen.compact
    def __call__(self, inputs: jax.Array) -> jax.Array:
        x = linen.Dense(WIDTH, name="embed")(inputs)
        groups = linen.scan(Group, variable_axes={"params": 0}, split_rngs={"params": True}, length=3)
        x, _ = groups(self.scanned, name="groups")(x)
        found: jax.Array = linen.Dense(CLASSES, name="head")(x)
        return found


class InGroups(nn.Module):
    """The torch side with its blocks in groups."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Linear(FEATURES, WIDTH)
        self.groups = nn.ModuleList(
            nn.ModuleDict({"blocks": nn.ModuleList(scanned_torch.Block() for _ in range(2))}) for _ in range(3)
        )
        self.head = nn.Linear(WIDTH, CLASSES)

    def forward(self, inputs: Tensor) -> Tensor:
        x = self.embed(inputs)
        for group in self.groups:
            for block in group["blocks"]:  # type: ignore[index]
                x = block(x)
        found: Tensor = self.head(x)
        return found


def six_blocks() -> nn.Module:
    model = scanned_torch.Net()
    model.blocks = nn.ModuleList(scanned_torch.Block() for _ in range(6))
    return model


def test_a_scan_in_a_scan_has_two_numbers() -> None:
    shown, hidden = seen(partial(Groups, scanned=True), InGroups)
    inside = {f"groups.{group}.blocks.{index}.{name}" for group in range(3) for index in range(2) for name in INSIDE}
    assert (shown, hidden) == ({"embed", "head"} | inside, set())


def test_groups_of_blocks_are_seen_in_turn() -> None:
    told = {f"blocks.{index}": f"groups.{index // 2}.blocks_{index % 2}" for index in range(6)}
    shown, hidden = seen(partial(Groups, scanned=False), six_blocks, told=told)
    inside = {f"blocks.{index}.{name}" for index in range(6) for name in INSIDE}
    assert (shown, hidden) == ({"embed", "head"} | inside, set())


# Experts in each block


class Experts(NnxBlock):
    """Has in place of one layer several that are stacked, each of which is given everything."""

    def __init__(self, rngs: nnx.Rngs) -> None:
        super().__init__(rngs)

        @nnx.split_rngs(splits=2)
        @nnx.vmap(in_axes=0, out_axes=0)
        def made(rngs: nnx.Rngs) -> nnx.Linear:
            return nnx.Linear(WIDTH, WIDTH, rngs=rngs)

        self.mix = made(rngs)

    def __call__(self, x: jax.Array) -> jax.Array:
        y = self.narrow(jnp.tanh(self.widen(self.norm(x))))
        found: jax.Array = nnx.vmap(lambda one, y: one(y), in_axes=(0, None))(self.mix, y)
        return x + found.sum(0)


class WithExperts(NnxNet):
    block = Experts


def experts() -> nn.Module:
    model = scanned_torch.Net()
    for block in model.blocks:
        block.mix = InSum(nn.Linear(WIDTH, WIDTH) for _ in range(2))
    return model


class InSum(nn.ModuleList):
    def forward(self, x: Tensor) -> Tensor:
        return torch.stack([one(x) for one in self]).sum(0)


def test_experts_that_are_called_together_are_hidden_and_the_rest_of_their_block_is_not() -> None:
    inside = {f"blocks.{index}.mix.{expert}" for index in range(BLOCKS) for expert in range(2)}
    shown = {f"blocks.{index}.{name}" for index in range(BLOCKS) for name in INSIDE[:-1]}
    assert seen(WithExperts, experts) == ({"embed", "head"} | shown, inside)
