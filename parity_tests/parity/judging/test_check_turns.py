"""A transformer whose blocks are scanned: what is in each block is compared, and told by the number of the block."""

from __future__ import annotations

from functools import partial
from itertools import count
from typing import Any

import jax
import jax.numpy as jnp
import pytest
from flax import nnx

from parity import Pair, check, random_batches, whole
from parity.verdict import Verdict
from parity_tests.parity import attending_jax, attending_torch
from parity_tests.parity.attending_jax import Block, Net
from parity_tests.parity.attending_torch import BLOCKS, LENGTH, TOKENS
from parity_tests.parity.judging.test_check_modules import first_of

pytestmark = pytest.mark.usefixtures("compiled_quickly")

INSIDE = ("before", "query", "key", "value", "behind", "widen", "narrow")


def pair(model: type[Net] = Net, of_torch: Any = attending_torch.Net, **named: Any) -> Pair:
    return Pair(
        torch={"model": of_torch, "loss": attending_torch.loss, "optimizer": attending_torch.optimizer},
        jax={"model": model, "loss": attending_jax.loss, "optimizer": attending_jax.optimizer},
        batches=random_batches(tokens=whole(TOKENS, 2, LENGTH), steps=2), name="attending", **named,
    )  # fmt: skip


def told(verdict: Verdict) -> Any:
    return verdict.first_difference or [*verdict.listed, *(stage.reason for stage in verdict.stages)]


def shown_inside(verdict: Verdict) -> set[str]:
    """The layers of blocks that are compared in the forward stage."""
    compared = {c.key.tensor for c in verdict.comparisons if c.key.stage == "forward"}
    return {name.rpartition(".")[0] for name in compared if name.startswith("blocks.") and "#" not in name}


ALL = {f"blocks.{index}.{name}" for index in range(BLOCKS) for name in INSIDE}


class Backwards(Net):
    reverse = True


class Flipped(Net):
    """Turns the stack around, and goes from its end to its beginning."""

    def through(self, x: jax.Array) -> Any:
        return self.one_by_one(x, jax.tree.map(lambda leaf: leaf[::-1], nnx.state(self.blocks)), reverse=True)


class InOrder(Net):
    """Takes the blocks out of the stack, without a loop of JAX's."""

    def through(self, x: jax.Array) -> Any:
        graph, state = nnx.split(self.blocks)
        for index in range(BLOCKS):
            x = nnx.merge(graph, jax.tree.map(lambda leaf, index=index: leaf[index], state))(x)
        return x


RIGHT: dict[str, Pair] = {
    "from the last to the first, on both sides": pair(Backwards, partial(attending_torch.Net, backwards=True)),
    "a stack that is turned around, and taken from its end": pair(Flipped),
    "a loop of Python's": pair(InOrder),
}


def test_every_layer_of_every_block_is_compared_in_both_precisions_and_with_power() -> None:
    verdict = check(pair())
    assert verdict.outcome == "agree", told(verdict)
    for dtype in ("float64", "float32"):
        compared = {c.key.tensor for c in verdict.comparisons if c.key.stage == "forward" and c.dtype == dtype}
        assert {f"{layer}.{what}" for layer in ALL for what in ("input", "output")} < compared
    assert [line for line in verdict.listed if "gradient" not in line and "no power" not in line] == [
        f"blocks is taken to hold {BLOCKS} layers stacked along axis 0, blocks.0 to blocks.{BLOCKS - 1}"
    ]
    # The slope at what goes into a layer is compared, too.
    assert "blocks.1.widen.input" in {c.key.tensor for c in verdict.comparisons if c.key.stage == "backward"}


@pytest.mark.parametrize("way", RIGHT)
def test_a_block_has_its_name_by_what_it_holds_in_whatever_order_they_are_called(way: str) -> None:
    verdict = check(RIGHT[way], dtypes=("float64",))
    assert verdict.outcome == "agree", told(verdict)
    assert shown_inside(verdict) == ALL


# Mistakes inside a block


def net_of(changed: type[Block]) -> type[Net]:
    return type("Net", (Net,), {"block": changed})


class OtherEpsilon(Block):
    epsilon = 1e-6


class OtherActivation(Block):
    def activated(self, x: jax.Array) -> jax.Array:
        return jax.nn.gelu(x)


class OtherSum(Block):
    """Adds to what came in, and not to what attention made of it."""

    def added(self, first: jax.Array, between: jax.Array) -> jax.Array:
        return first


class SeesTheNext(Block):
    def hidden(self) -> jax.Array:
        return jnp.triu(jnp.ones((LENGTH, LENGTH), bool), 2)


INSIDE_A_BLOCK: dict[str, tuple[type[Block], str, list[str]]] = {
    "a norm's epsilon": (
        OtherEpsilon, "blocks.0.behind.output", [f"in layer blocks.{index}.behind" for index in range(BLOCKS)]
    ),
    "an activation": (
        OtherActivation, "blocks.0.narrow.input",
        [f"between blocks.{index}.widen.output and blocks.{index}.narrow.input" for index in range(BLOCKS)],
    ),
    "a sum": (
        OtherSum, "blocks.1.before.input",
        ["between blocks.0.narrow.output and blocks.1.before.input",
         "between blocks.1.narrow.output and blocks.2.before.input", "between blocks.2.narrow.output and head.input"],
    ),
    "a mask": (
        SeesTheNext, "blocks.0.behind.input",
        [f"between blocks.{index}.value.output and blocks.{index}.behind.input" for index in range(BLOCKS)],
    ),
}  # fmt: skip


@pytest.mark.parametrize("mistake", INSIDE_A_BLOCK)
def test_a_mistake_inside_the_blocks_is_told_in_each_of_them(mistake: str) -> None:
    changed, first, places = INSIDE_A_BLOCK[mistake]
    verdict = check(pair(net_of(changed)), dtypes=("float64",))
    assert (first_of(verdict).stage, first_of(verdict).tensor) == ("forward", first)
    starts = [start.where for start in verdict.starts]
    assert starts[0] == places[0]
    # What goes past the layers of a block is not theirs to be handed: wrong there, it shows behind them as well.
    assert set(places) <= set(starts) if mistake in ("a sum", "a mask") else places == starts


# Mistakes in how the blocks are run


class OneTooFew(Net):
    def through(self, x: jax.Array) -> Any:
        return self.one_by_one(x, jax.tree.map(lambda leaf: leaf[:-1], nnx.state(self.blocks)))


class NotHandedOn(Net):
    """Every block is given what the first one is."""

    def through(self, x: jax.Array) -> Any:
        graph, state = nnx.split(self.blocks)

        def turn(carried: Any, held: Any) -> tuple[Any, None]:
            first, _ = carried
            return (first, nnx.merge(graph, held)(first)), None

        (_, found), _ = jax.lax.scan(turn, (x, x), state)
        return found


class OneForAnother(Net):
    """Takes the second block first."""

    def through(self, x: jax.Array) -> Any:
        return self.one_by_one(x, jax.tree.map(lambda leaf: leaf[jnp.array([1, 0, 2])], nnx.state(self.blocks)))


AROUND: dict[str, tuple[type[Net], str, str]] = {
    "from the last to the first": (
        Backwards, "blocks.0.before.input", "between embed.output and blocks.0.before.input",
    ),
    "one turn too few": (OneTooFew, "head.input", "between blocks.1.narrow.output and head.input"),
    "what is carried is not handed on": (
        NotHandedOn, "blocks.1.before.input", "between blocks.0.narrow.output and blocks.1.before.input",
    ),
    "one for another": (OneForAnother, "blocks.0.before.input", "between embed.output and blocks.0.before.input"),
}  # fmt: skip


@pytest.mark.parametrize("mistake", AROUND)
def test_a_mistake_in_how_the_blocks_are_run_is_told_where_it_shows(mistake: str) -> None:
    model, first, where = AROUND[mistake]
    verdict = check(pair(model), dtypes=("float64",))
    assert (first_of(verdict).stage, first_of(verdict).tensor) == ("forward", first)
    assert verdict.starts[0].where == where


class Counting(Net):
    """Counts in Python, which JAX runs once for all turns: it doubles what goes into each block, and not the first."""

    def through(self, x: jax.Array) -> Any:
        graph, state = nnx.split(self.blocks)
        turns = count()

        def turn(x: jax.Array, held: Any) -> tuple[jax.Array, None]:
            return nnx.merge(graph, held)(x * (1 if next(turns) else 2)), None

        return jax.lax.scan(turn, x, state)[0]


def predict(model: Any, batch: Any) -> Any:
    return model(batch["tokens"])


def test_turns_that_python_makes_differ_are_left_to_the_loop_and_hidden() -> None:
    asked = Pair(
        torch={"model": attending_torch.Net, "predict": predict}, jax={"model": Counting, "predict": predict},
        batches=random_batches(tokens=whole(TOKENS, 2, LENGTH), steps=2), stages=("forward",),
    )  # fmt: skip
    verdict = check(asked, dtypes=("float64",))
    assert (first_of(verdict).stage, first_of(verdict).tensor) == ("forward", "head.input")
    assert not shown_inside(verdict)
    assert any(line.startswith("layers of the torch side that no module") for line in verdict.listed)
