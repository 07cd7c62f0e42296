"""Which loops are taken turn by turn, and which layers are told in them, by a pass of a model filled with numbers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from parity import tap
from parity.errors import NotCheckable
from parity.jax_side.stacks import turns
from parity.recording import Dtype
from parity.sides.live import live_side
from parity_tests.parity import scanned_jax
from parity_tests.parity.jax_side.stacks.test_turns import ALL, beside, pair, seen, through
from parity_tests.parity.scanned_jax import LinenNet, NnxNet
from parity_tests.parity.scanned_torch import BLOCKS, WIDTH

pytestmark = pytest.mark.usefixtures("compiled_once")


# Where nothing can be known, or too much would be compiled


def compiled(blocks: Any, x: jax.Array) -> jax.Array:
    @nnx.jit
    @nnx.scan(in_axes=(nnx.Carry, 0), out_axes=nnx.Carry)
    def turn(x: jax.Array, block: Any) -> Any:
        return block(x)

    found: jax.Array = turn(x, blocks)
    return found


def test_what_is_compiled_by_itself_is_hidden() -> None:
    assert seen(through(compiled)) == ({"embed", "head"}, ALL)


@pytest.mark.parametrize("model", [LinenNet, NnxNet])
def test_a_loop_of_more_turns_is_left_as_it_is(model: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(turns, "MOST", BLOCKS - 1)
    assert seen(model) == ({"embed", "head"}, ALL)


def over_time(blocks: Any, x: jax.Array) -> jax.Array:
    """Through the blocks, and then over what came out, of which each turn is given what a block's weight could be."""
    x = beside(blocks, x)
    rows = jnp.stack([x[:WIDTH], x[WIDTH:]])

    total, _ = jax.lax.scan(lambda total, row: (total + row.sum() * 0, None), jnp.zeros((), x.dtype), rows)
    return x + total


def test_a_loop_over_something_else_stays_one(monkeypatch: pytest.MonkeyPatch) -> None:
    lengths: list[int] = []
    taken = turns._taken

    def noted(layers: Any, turns: Any, loop: Any, *given: Any, **named: Any) -> Any:
        lengths.append(loop[1])
        return taken(layers, turns, loop, *given, **named)

    monkeypatch.setattr(turns, "_taken", noted)
    assert seen(through(over_time)) == ({"embed", "head"} | ALL, set())
    assert {*lengths} == {BLOCKS}


def with_a_tap(blocks: Any, x: jax.Array) -> jax.Array:
    """Over rows, as a loop over time is, with a tap in each turn."""
    x, rows = beside(blocks, x), jnp.arange(3.0)
    _, found = jax.lax.scan(lambda total, row: (tap(total + row, "total"), total), jnp.zeros(()), rows)
    return x + 0 * found.sum()


def test_a_loop_with_a_tap_is_taken_turn_by_turn_beside_those_over_layers() -> None:
    side = live_side(pair(through(with_a_tap)).jax, "jax", "float64", "cpu")
    arrays = live_side(pair(NnxNet).torch, "torch", "float64", "cpu").initial(0)
    found = side.forward(arrays, side.batches(0, 1)[0])
    assert [float(array) for name, array in found.items() if name.endswith(".tap")] == [0, 1, 3]


# Dropout, taps and precision


def dropping(blocks: Any, x: jax.Array) -> jax.Array:
    """Drops by one key in all turns."""
    graph, state = nnx.split(blocks)
    key = jax.random.key(0)

    def turn(x: jax.Array, held: Any) -> tuple[Any, None]:
        return x + nnx.Dropout(0.5)(nnx.merge(graph, held)(x), rngs=key), None

    found: jax.Array = jax.lax.scan(turn, x, state)[0]
    return found


def test_one_mask_for_all_turns_is_refused_where_every_turn_is_taken_alone_too() -> None:
    side = live_side(pair(through(dropping)).jax, "jax", "float64", "cpu")
    with pytest.raises(NotCheckable, match="a dropout inside a loop with the same key in every turn"):
        side.observe(live_side(pair(NnxNet).torch, "torch", "float64", "cpu").initial(0), side.batches(0, 1)[0])


def tapped(x: jax.Array, of: Any) -> jax.Array:
    return tap(scanned_jax.block(x, of), "block")


def tapped_by_number(x: jax.Array, blocks: Any) -> Any:
    return jax.lax.fori_loop(0, BLOCKS, lambda index, x: tapped(x, jax.tree.map(lambda leaf: leaf[index], blocks)), x)


TAPPED: dict[str, Callable[[jax.Array, Any], Any]] = {
    "jax.lax.scan": lambda x, blocks: jax.lax.scan(lambda x, of: (tapped(x, of), None), x, blocks)[0],
    "in reverse": lambda x, blocks: jax.lax.scan(lambda x, of: (tapped(x, of), None), x, blocks, reverse=True)[0],
    "jax.lax.fori_loop": tapped_by_number,
}


@pytest.mark.parametrize("way", TAPPED)
def test_taps_in_a_loop_over_a_plain_tree_are_counted_by_turn(way: str) -> None:
    def predict(parameters: Any, batch: Any) -> jax.Array:
        x = scanned_jax.linear(batch["inputs"], parameters["embed"])
        return scanned_jax.linear(TAPPED[way](x, parameters["blocks"]), parameters["head"])

    asked = pair(
        scanned_jax.params, told={"blocks.0.mix.weight": "transpose"}, predict=predict,
        loss=lambda parameters, batch: scanned_jax.cross_entropy(predict(parameters, batch), batch),
    )  # fmt: skip
    side = live_side(asked.jax, "jax", "float64", "cpu")
    arrays, batch = live_side(asked.torch, "torch", "float64", "cpu").initial(0), side.batches(0, 1)[0]
    found = side.forward(arrays, batch)
    assert [*found] == ["block.tap", "block#2.tap", "block#3.tap", "output"]
    last = found["block#3.tap"] @ arrays["head.weight"].T + arrays["head.bias"]
    np.testing.assert_allclose(last, found["output"], rtol=0, atol=1e-12)
    assert "block" not in side.unmatched


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_the_layers_are_told_in_every_precision_however_many_arrays_there_are(
    dtype: Dtype, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("parity.jax_side.stacks.stacked.BASE", 3)
    asked = pair(NnxNet)
    side = live_side(asked.jax, "jax", dtype, "cpu")
    found = side.forward(live_side(asked.torch, "torch", dtype, "cpu").initial(0), side.batches(0, 1)[0])
    assert {name.rpartition(".")[0] for name in found if "." in name} == {"embed", "head"} | ALL


def test_numbers_in_place_of_weights_are_no_fault_of_the_side() -> None:
    asked = pair(through(over_time))
    arrays = live_side(asked.torch, "torch", "float64", "cpu").initial(0)
    with jax.debug_nans(True):
        side = live_side(asked.jax, "jax", "float64", "cpu")
        found = side.forward(arrays, side.batches(0, 1)[0])
    assert "blocks.2.mix.output" in found
