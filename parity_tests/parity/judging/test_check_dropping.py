"""A JAX side whose scanned blocks have dropouts: each turn of the loop is handed the masks that torch's block is."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import pytest
import torch
from flax import linen, nnx
from torch import Tensor, nn

from parity import Pair, check, random_batches
from parity.errors import NotCheckable
from parity.verdict import Verdict
from parity_tests.parity import scanned_jax, scanned_torch
from parity_tests.parity.judging.test_check_modules import first_of
from parity_tests.parity.scanned_jax import NnxBlock, NnxNet, block, cross_entropy, linear, params
from parity_tests.parity.scanned_torch import BLOCKS, CLASSES, FEATURES, WIDTH

pytestmark = pytest.mark.usefixtures("compiled_quickly")

INSIDE, BEHIND, AROUND = 0.5, 0.25, 0.3
"""The rates of the two dropouts in a block, and of those before and behind the blocks."""


class DroppingBlock(scanned_torch.Block):
    def forward(self, x: Tensor) -> Tensor:
        y = nn.functional.dropout(self.norm(x), INSIDE, self.training)
        y = self.mix(self.narrow(torch.tanh(self.widen(y))))
        return x + nn.functional.dropout(y, BEHIND, self.training)


class Dropping(scanned_torch.Net):
    def __init__(self) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(DroppingBlock() for _ in range(BLOCKS))

    def forward(self, inputs: Tensor) -> Tensor:
        x = nn.functional.dropout(self.embed(inputs), AROUND, self.training)
        for of_stack in self.blocks:
            x = of_stack(x)
        found: Tensor = self.head(nn.functional.dropout(x, AROUND, self.training))
        return found


def checked(*, told: Any = None, dtypes: Any = ("float64",), **of_jax: Any) -> Verdict:
    pair = Pair(
        torch={"model": Dropping, "loss": scanned_torch.loss, "optimizer": scanned_torch.optimizer},
        jax={"optimizer": scanned_jax.optimizer} | of_jax,
        batches=random_batches(inputs=(8, FEATURES), labels=(8,), classes=CLASSES, steps=2), name="dropping",
        weight_map=told or {},
    )  # fmt: skip
    return check(pair, dtypes=dtypes)


# nn.scan


class LinenBlock(linen.Module):
    inside: float = INSIDE

    @linen.compact
    def __call__(self, x: jax.Array, train: bool) -> tuple[jax.Array, None]:
        y = linen.Dropout(self.inside)(linen.LayerNorm(epsilon=1e-5, name="norm")(x), not train)
        y = linen.Dense(2 * WIDTH, name="widen")(y)
        y = linen.Dense(WIDTH, name="narrow")(jnp.tanh(y))
        return x + linen.Dropout(BEHIND)(linen.Dense(WIDTH, name="mix")(y), not train), None


class ElsewhereBlock(LinenBlock):
    @linen.compact
    def __call__(self, x: jax.Array, train: bool) -> tuple[jax.Array, None]:
        y = linen.LayerNorm(epsilon=1e-5, name="norm")(linen.Dropout(self.inside)(x, not train))
        y = linen.Dense(2 * WIDTH, name="widen")(y)
        y = linen.Dense(WIDTH, name="narrow")(jnp.tanh(y))
        return x + linen.Dropout(BEHIND)(linen.Dense(WIDTH, name="mix")(y), not train), None


class LinenNet(linen.Module):
    block: Any = LinenBlock
    split: bool = True

    @linen.compact
    def __call__(self, inputs: jax.Array, train: bool) -> jax.Array:
        x = linen.Dropout(AROUND)(linen.Dense(WIDTH, name="embed")(inputs), not train)
        scanned = linen.scan(
            self.block, variable_axes={"params": 0}, split_rngs={"params": True, "dropout": self.split},
            length=BLOCKS, in_axes=linen.broadcast,
        )  # fmt: skip
        x, _ = scanned(name="blocks")(x, train)
        found: jax.Array = linen.Dense(CLASSES, name="head")(linen.Dropout(AROUND)(x, not train))
        return found


def linen_loss(model: Any, batch: Any, train: bool) -> jax.Array:
    return cross_entropy(model(batch["inputs"], train), batch)


# nnx.scan


class DropsInside(NnxBlock):
    def __init__(self, rngs: nnx.Rngs) -> None:
        super().__init__(rngs)
        self.inside, self.behind = nnx.Dropout(INSIDE, rngs=rngs), nnx.Dropout(BEHIND, rngs=rngs)

    def __call__(self, x: jax.Array) -> jax.Array:
        y = self.mix(self.narrow(jnp.tanh(self.widen(self.inside(self.norm(x))))))
        return x + self.behind(y)


class DropsInsideNet(NnxNet):
    block = DropsInside
    streams: Any = 0
    """How the random streams of the blocks go into the loop."""
    again = False
    """Whether a block is computed again on the way back."""

    def __init__(self, rngs: nnx.Rngs) -> None:
        super().__init__(rngs)
        self.around = nnx.Dropout(AROUND, rngs=rngs)

    def __call__(self, inputs: jax.Array) -> jax.Array:
        axes: Any = nnx.StateAxes([(nnx.RngState, self.streams), (..., 0)])

        @nnx.scan(in_axes=(nnx.Carry, axes), out_axes=nnx.Carry)
        def through(x: jax.Array, of_stack: Any) -> Any:
            return nnx.remat(lambda one, x: one(x))(of_stack, x) if self.again else of_stack(x)

        return self.head(self.around(through(self.around(self.embed(inputs)), self.blocks)))


class RematNet(DropsInsideNet):
    again = True


class LeftOut(DropsInside):
    """Without the dropout behind."""

    def __call__(self, x: jax.Array) -> jax.Array:
        return x + self.mix(self.narrow(jnp.tanh(self.widen(self.inside(self.norm(x))))))


class LeftOutNet(DropsInsideNet):
    block = LeftOut


# Plain functions

Way = Callable[[Callable[..., Any], jax.Array, Any, jax.Array], Any]


def drop(key: jax.Array, x: jax.Array, rate: float) -> jax.Array:
    return jnp.where(jax.random.bernoulli(key, 1 - rate, x.shape), x / (1 - rate), 0)


def plain(way: Way, rates: tuple[float, ...] = (INSIDE,) * BLOCKS) -> dict[str, Any]:
    """A side that goes through the blocks as `way` says, each with a rate of its own."""

    def turn(x: jax.Array, given: Any) -> tuple[jax.Array, None]:
        (of, rate), key = given
        inside, behind = jax.random.split(key)
        y = (x - x.mean(-1, keepdims=True)) / jnp.sqrt(x.var(-1, keepdims=True) + 1e-5)
        y = drop(inside, y * of["norm"]["scale"] + of["norm"]["bias"], rate)
        y = linear(linear(jnp.tanh(linear(y, of["widen"])), of["narrow"]), of["mix"])
        return x + drop(behind, y, BEHIND), None

    def predict(parameters: Any, batch: Any, train: bool) -> jax.Array:
        x = linear(batch["inputs"], parameters["embed"])
        if train:
            before, key, after = jax.random.split(jax.random.key(0), 3)
            x = way(turn, drop(before, x, AROUND), (parameters["blocks"], jnp.asarray(rates)), key)
            return linear(drop(after, x, AROUND), parameters["head"])
        x, _ = jax.lax.scan(lambda x, of: (block(x, of), None), x, parameters["blocks"])
        return linear(x, parameters["head"])

    def loss(parameters: Any, batch: Any, train: bool) -> jax.Array:
        return cross_entropy(predict(parameters, batch, train), batch)

    return {"model": params, "predict": predict, "loss": loss, "told": {"blocks.0.mix.weight": "transpose"}}


def split(turn: Any, x: jax.Array, blocks: Any, key: jax.Array) -> Any:
    return jax.lax.scan(turn, x, (blocks, jax.random.split(key, BLOCKS)))[0]


def handed_on(turn: Any, x: jax.Array, blocks: Any, key: jax.Array) -> Any:
    """The key is divided in each turn."""

    def divided(carried: Any, given: Any) -> tuple[Any, None]:
        x, key = carried
        own, key = jax.random.split(key)
        return (turn(x, (given, own))[0], key), None

    return jax.lax.scan(divided, (x, key), blocks)[0][0]


def by_index(turn: Any, x: jax.Array, blocks: Any, key: jax.Array) -> Any:
    def body(index: Any, x: jax.Array) -> jax.Array:
        found: jax.Array = turn(x, (jax.tree.map(lambda a: a[index], blocks), jax.random.fold_in(key, index)))[0]
        return found

    return jax.lax.fori_loop(0, BLOCKS, body, x)


def in_groups(turn: Any, x: jax.Array, blocks: Any, key: jax.Array) -> Any:
    """Two loops, one in the other, of which the inner one has a turn each time."""
    keys = jax.random.split(key, BLOCKS)
    grouped = jax.tree.map(lambda a: a[:, None], (blocks, keys))
    return jax.lax.scan(lambda x, group: jax.lax.scan(turn, x, group), x, grouped)[0]


def compiled(turn: Any, x: jax.Array, blocks: Any, key: jax.Array) -> Any:
    """Without a loop, by one function that is compiled once."""
    fast = jax.jit(turn)
    for index in range(BLOCKS):
        x, _ = fast(x, (jax.tree.map(lambda a, index=index: a[index], blocks), jax.random.fold_in(key, index)))
    return x


RIGHT: dict[str, dict[str, Any]] = {
    "nn.scan": {"model": LinenNet, "loss": linen_loss},
    "nn.scan and nn.remat": {
        "model": partial(LinenNet, block=linen.remat(LinenBlock, static_argnums=(2,))), "loss": linen_loss,
    },
    "nnx.scan and nnx.remat": {"model": RematNet, "loss": scanned_jax.loss},
    "keys that are split": plain(split),
    "a key that is handed on": plain(handed_on),
    "a loop over numbers": plain(by_index),
    "a loop in a loop": plain(in_groups),
    "a compiled function": plain(compiled),
}  # fmt: skip


def test_dropouts_in_scanned_blocks_agree_in_both_precisions() -> None:
    verdict = checked(model=DropsInsideNet, loss=scanned_jax.loss, dtypes=("float64", "float32"))
    assert verdict.outcome == "agree", verdict.first_difference or [stage.reason for stage in verdict.stages]
    assert "blocks.1.widen.input" in {c.key.tensor for c in verdict.comparisons if c.dtype == "float32"}


@pytest.mark.parametrize("way", RIGHT)
def test_each_turn_of_a_loop_has_the_masks_of_its_block(way: str) -> None:
    verdict = checked(**RIGHT[way])
    assert verdict.outcome == "agree", verdict.first_difference or [stage.reason for stage in verdict.stages]


# Mistakes

OTHER_RATE = {"model": partial(LinenNet, block=partial(LinenBlock, inside=0.4)), "loss": linen_loss}
WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "another rate": (OTHER_RATE, "blocks.0.widen.input"),
    "at another place": ({"model": partial(LinenNet, block=ElsewhereBlock), "loss": linen_loss}, "blocks.0.norm.input"),
    "left out in all blocks": ({"model": LeftOutNet, "loss": scanned_jax.loss}, "blocks.1.norm.input"),
    "left out in one block": (plain(split, (INSIDE, 0.0, INSIDE)), "output"),
}


@pytest.mark.parametrize("mistake", WRONG)
def test_a_dropout_that_is_otherwise_is_told_where_it_shows(mistake: str) -> None:
    side, tensor = WRONG[mistake]
    found = first_of(checked(**side))
    assert (found.stage, found.tensor) == ("forward", tensor)


def one_for_all(turn: Any, x: jax.Array, blocks: Any, key: jax.Array) -> Any:
    return jax.lax.scan(lambda x, given: turn(x, (given, key)), x, blocks)[0]


class Shared(DropsInsideNet):
    """Hands the streams of the first block to all."""

    streams = None

    def __init__(self, rngs: nnx.Rngs) -> None:
        super().__init__(rngs)
        for name in ("inside", "behind"):
            getattr(self.blocks, name).rngs = nnx.Rngs(0)["dropout"].fork()


SHARED: dict[str, dict[str, Any]] = {
    "nn.scan": {"model": partial(LinenNet, split=False), "loss": linen_loss},
    "nnx.scan": {"model": Shared, "loss": scanned_jax.loss},
    "jax.lax.scan": plain(one_for_all),
}


class Equal(DropsInsideNet):
    """Each block has a stream of its own, and all have one key and one count."""

    def __init__(self, rngs: nnx.Rngs) -> None:
        super().__init__(rngs)
        for name in ("inside", "behind"):
            key = getattr(self.blocks, name).rngs.key
            key[...] = jnp.broadcast_to(key[...][0], key[...].shape)


class OneStream(NnxNet):
    """Outside of a loop: two layers with a stream each that begin alike."""

    def __init__(self, rngs: nnx.Rngs) -> None:
        super().__init__(rngs)
        self.before, self.after = (nnx.Dropout(AROUND, rngs=nnx.Rngs(0)) for _ in range(2))

    def __call__(self, inputs: jax.Array) -> jax.Array:
        return self.after(super().__call__(self.before(inputs)))


@pytest.mark.parametrize("model", [Equal, OneStream])
def test_streams_that_were_made_equal_by_hand_are_refused(model: type[NnxNet]) -> None:
    with pytest.raises(NotCheckable, match="with keys that are equal"):
        checked(model=model, loss=scanned_jax.loss)


@pytest.mark.parametrize("way", SHARED)
def test_a_mask_that_all_blocks_share_is_refused(way: str) -> None:
    with pytest.raises(NotCheckable, match="a dropout inside a loop with the same key in every turn"):
        checked(**SHARED[way])
