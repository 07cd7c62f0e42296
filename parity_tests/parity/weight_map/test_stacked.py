"""JAX leaves that hold an array for each of several layers: where that is seen, and what becomes of it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from parity.errors import NotCheckable
from parity.recording import Arrays
from parity.weight_map.entry import Part
from parity.weight_map.find import find
from parity.weight_map.outline import Outline, Shape
from parity.weight_map.stacked import Stack, Unstacked, unstacked
from parity.weight_map.weight_map import WeightMap
from parity_tests.parity.weight_map.made_outlines import (
    Layer,
    batch_norm,
    jax,
    jax_batch_norm,
    jax_linear,
    jax_norm,
    jax_tree,
    linear,
    norm,
    own,
    plain,
    torch,
)  # fmt: skip
from parity_tests.parity.weight_map.test_find import refusal

BLOCK = {"norm": norm(4), "up": linear(4, 8), "down": linear(8, 4)}
PLAIN_BLOCK = {"norm": plain(scale=(4,), bias=(4,)), "up": plain(w=(4, 8), b=(8,)), "down": plain(w=(8, 4), b=(4,))}
JAX_BLOCK = {"norm": jax_norm(4), "up": jax_linear(4, 8), "down": jax_linear(8, 4)}


def blocks(count: int, name: str = "blocks", block: dict[str, Layer] = BLOCK) -> dict[str, Layer]:
    """As torch has them: a module for each."""
    return {f"{name}.{index}.{inner}": layer for index in range(count) for inner, layer in block.items()}


def stacked(count: int, name: str = "blocks", block: dict[str, Layer] = JAX_BLOCK, axis: int = 0) -> dict[str, Layer]:
    """As a scan has them: each array with one more axis."""

    def shape_of(shape: Shape) -> Shape:
        return (*shape[:axis], count, *shape[axis:])

    found = {}
    for inner, (kind, parameters, buffers, config) in block.items():
        shapes = [{own: shape_of(shape) for own, shape in group.items()} for group in (parameters, buffers)]
        found[f"{name}.{inner}"] = (kind, *shapes, config)
    return found  # type: ignore[return-value]


def carried(weights: WeightMap, outline: Outline) -> tuple[Arrays, Arrays]:
    """Tensors of torch's and the leaves that they become, after a look at whether they come back bit for bit."""
    generator = np.random.default_rng(0)
    tensors = {name: generator.normal(size=shape) for name, shape in outline.arrays()}
    leaves = weights.to_jax(tensors)
    back = weights.to_torch(leaves)
    assert {name: array.tobytes() for name, array in back.items()} == {n: a.tobytes() for n, a in tensors.items()}
    return tensors, leaves


def lines(weights: WeightMap, name: str) -> list[str]:
    return [str(entry) for entry in weights.entries if entry.torch.name.endswith(name)]


PLAIN_ENDS = {"stem": plain(w=(3, 4), b=(4,)), "head": plain(w=(4, 2), b=(2,))}
ENDS, JAX_ENDS = {"stem": linear(3, 4), "head": linear(4, 2)}, {"stem": jax_linear(3, 4), "head": jax_linear(4, 2)}


def test_each_layer_is_a_part_of_one_leaf_and_the_map_says_so() -> None:
    weights = find(torch(ENDS | blocks(3)), jax(JAX_ENDS | stacked(3)))
    assert lines(weights, "up.weight") == [
        f"blocks.{index}.up.weight [8, 4] -> blocks.up.kernel[{index}] [3, 4, 8], transpose" for index in range(3)
    ]
    assert lines(weights, "head.bias") == ["head.bias [2] -> head.bias [2], as is"]
    assert weights.listed == ["blocks is taken to hold 3 layers stacked along axis 0, blocks.0 to blocks.2"]
    # Each is called by what it holds, and nobody calls the list.
    inside = {f"blocks.{name}[{index}]": f"blocks.{index}.{name}" for index in range(3) for name in BLOCK}
    assert {path: layer.torch for path, layer in weights.layers.items()} == {"stem": "stem", "head": "head"} | inside


def test_the_second_axis_may_be_that_of_the_layers_and_where_both_may_it_is_the_first() -> None:
    second = find(torch(ENDS | blocks(3)), jax(JAX_ENDS | stacked(3, axis=1)))
    assert lines(second, "0.norm.weight") == ["blocks.0.norm.weight [4] -> blocks.norm.scale[:, 0] [4, 3], as is"]
    square = find(torch(blocks(4, block={"fc": linear(4, 4)})), jax({"blocks.fc": own(kernel=(4, 4, 4), bias=(4, 4))}))
    assert lines(square, "1.fc.weight") == ["blocks.1.fc.weight [4, 4] -> blocks.fc.kernel[1] [4, 4, 4], transpose"]


@pytest.mark.parametrize("axis", [0, 1])
def test_trained_weights_go_there_and_back_bit_for_bit_and_through_a_file(tmp_path: Path, axis: int) -> None:
    outlines = torch(ENDS | blocks(3)), jax(JAX_ENDS | stacked(3, axis=axis))
    find(*outlines).save(tmp_path / "map.json")
    weights = WeightMap.load(tmp_path / "map.json")
    tensors, leaves = carried(weights, outlines[0])
    assert {name: leaf.shape for name, leaf in leaves.items()} == dict(outlines[1].arrays())
    for index in range(3):
        kernel = leaves["blocks.up.kernel"].take(index, axis)
        np.testing.assert_array_equal(kernel, tensors[f"blocks.{index}.up.weight"].T)


def test_an_encoder_and_a_decoder_are_two_stacks_and_in_a_plain_tree_too() -> None:
    of_torch = torch(ENDS | blocks(3, "encoder.layer") | blocks(3, "decoder.layer"))
    of_jax = jax(JAX_ENDS | stacked(3, "decoder.layers") | stacked(3, "encoder.layers"))
    tree = jax_tree(PLAIN_ENDS | stacked(3, "decoder.layers", PLAIN_BLOCK) | stacked(3, "encoder.layers", PLAIN_BLOCK))
    for other, bias in ((of_jax, "bias"), (tree, "b")):
        weights = find(of_torch, other)
        assert lines(weights, "encoder.layer.2.up.bias") == [
            f"encoder.layer.2.up.bias [8] -> encoder.layers.up.{bias}[2] [3, 8], as is"
        ]
        assert len(weights.listed) == 2


def test_blocks_between_other_layers_of_a_sequence_are_found() -> None:
    of_torch = {"net.0": linear(3, 4)} | {f"net.{i}.{n}": la for i in (1, 2) for n, la in BLOCK.items()}
    weights = find(torch(of_torch | {"net.3": linear(4, 2)}), jax(JAX_ENDS | stacked(2)))
    assert lines(weights, "net.2.down.bias") == ["net.2.down.bias [4] -> blocks.down.bias[1] [2, 4], as is"]


def test_layers_may_themselves_be_lists() -> None:
    pair = {"0": linear(4, 4), "1": linear(4, 4)}
    of_jax = stacked(3, block={"layers_0": jax_linear(4, 4), "layers_1": jax_linear(4, 4)})
    weights = find(torch(ENDS | blocks(3, block=pair)), jax(JAX_ENDS | of_jax))
    assert lines(weights, "2.1.bias") == ["blocks.2.1.bias [4] -> blocks.layers_1.bias[2] [3, 4], as is"]


def test_a_scan_of_groups_takes_of_each_in_turn_and_in_a_plain_tree_it_is_asked() -> None:
    def groups(block: dict[str, Layer]) -> dict[str, Layer]:
        group = {f"layers_{number}.{inner}": layer for number in range(2) for inner, layer in block.items()}
        return stacked(3, block=group)

    def leaves(weights: WeightMap) -> list[str]:
        return [line.partition(" -> ")[2].partition(" ")[0] for line in lines(weights, "up.bias")]

    of_torch, tree = torch(ENDS | blocks(6)), jax_tree(PLAIN_ENDS | groups(PLAIN_BLOCK))
    in_turn = [(turn, number) for turn in range(3) for number in range(2)]
    weights = find(of_torch, jax(JAX_ENDS | groups(JAX_BLOCK)))
    assert leaves(weights) == [f"blocks.layers_{number}.up.bias[{turn}]" for turn, number in in_turn]
    assert 'write an override for each, as in "blocks.0": "blocks.0.layers_0"' in refusal(of_torch, tree)
    overrides = {f"blocks.{i}": f"blocks.{turn}.layers_{number}" for i, (turn, number) in enumerate(in_turn)}
    assert leaves(find(of_torch, tree, overrides)) == [f"blocks.layers_{n}.up.b[{turn}]" for turn, n in in_turn]


def test_a_whole_model_may_be_one_stack() -> None:
    weights = find(
        torch({str(index): linear(4, 8) for index in range(3)}), jax_tree({"": plain(w=(3, 4, 8), b=(3, 8))})
    )
    assert lines(weights, "1.weight") == ["1.weight [8, 4] -> w[1] [3, 4, 8], transpose"]


def test_experts_in_each_layer_are_a_stack_in_a_stack() -> None:
    experts = {f"experts.{index}": linear(4, 8) for index in range(3)}
    of_jax = {"blocks.up": jax_linear(4, 4)}
    kernel, bias = (2, 3, 4, 8), (2, 3, 8)
    weights = find(
        torch(blocks(2, block={"up": linear(4, 4), **experts})),
        jax(stacked(2, block={"up": of_jax["blocks.up"]}) | {"blocks.experts": own(kernel=kernel, bias=bias)}),
    )
    assert lines(weights, "blocks.1.experts.2.weight") == [
        "blocks.1.experts.2.weight [8, 4] -> blocks.experts.kernel[1, 2] [2, 3, 4, 8], transpose"
    ]
    # What is so in every layer is said of the first.
    assert [line.split(",")[0] for line in weights.listed] == [
        "blocks is taken to hold 2 layers stacked along axis 0",
        "blocks.0.experts is taken to hold 3 layers stacked along axis 0",
    ]


@pytest.mark.parametrize("packed_in_torch", [True, False])
def test_packed_projections_may_be_packed_on_one_side_only(packed_in_torch: bool) -> None:
    apart = ("q_proj", "k_proj", "v_proj")
    if packed_in_torch:
        of_torch, of_jax = {"qkv": linear(4, 12)}, {name: jax_linear(4, 4) for name in apart}
        expected = "blocks.1.qkv.weight[4:8] [12, 4] -> blocks.k_proj.kernel[1] [2, 4, 4], transpose"
    else:
        of_torch, of_jax = {name: linear(4, 4) for name in apart}, {"qkv": jax_linear(4, 12)}
        expected = "blocks.1.k_proj.weight [4, 4] -> blocks.qkv.kernel[1, :, 4:8] [2, 4, 12], transpose"
    # Beside the products of attention there is a layer: blocks that hold nothing but one module are that module.
    outline = torch(blocks(2, block=of_torch | {"out": linear(4, 4)}))
    weights = find(outline, jax(stacked(2, block=of_jax | {"out": jax_linear(4, 4)})))
    assert expected in map(str, weights.entries)
    carried(weights, outline)


def test_running_statistics_are_stacked_too_and_what_jax_keeps_alone_is_listed_once() -> None:
    of_jax = stacked(2, block={"bn": jax_batch_norm(4), "up": jax_linear(4, 4)})
    cache: dict[str, Layer] = {"blocks.cache": ("Mine", {}, {"index": (2,)}, {"built_on": ""})}
    weights = find(torch(blocks(2, block={"bn": batch_norm(4), "up": linear(4, 4)})), jax(of_jax | cache))
    assert lines(weights, "1.bn.running_var") == ["blocks.1.bn.running_var [4] -> blocks.bn.var[1] [2, 4], as is"]
    assert weights.apart.jax == ("blocks.cache.index",)
    assert weights.listed.count("blocks.cache.index is held on the jax side only") == 1


def test_arrays_that_are_tied_inside_a_layer_are_so_in_each() -> None:
    again = {"blocks.again": own(kernel=(2, 4, 4))}
    tied = {"blocks.again.kernel": "blocks.fc.kernel"}
    block, jax_block = {"fc": linear(4, 4), "norm": norm(4)}, {"fc": jax_linear(4, 4), "norm": jax_norm(4)}
    of_jax = jax(stacked(2, block=jax_block) | again, tied)
    expected = ["blocks.1.fc.weight [4, 4] -> blocks.fc.kernel[1] [2, 4, 4], transpose"]
    assert lines(find(torch(blocks(2, block=block)), of_jax), "1.fc.weight") == expected
    layers = blocks(2, block=block | {"again": own(weight=(4, 4))})
    in_torch = torch(layers, {f"blocks.{i}.again.weight": f"blocks.{i}.fc.weight" for i in range(2)})
    assert lines(find(in_torch, jax(stacked(2, block=jax_block))), "1.fc.weight") == expected


def test_a_part_of_two_stacks_is_shown_and_taken_in_the_order_of_the_axes() -> None:
    # A stack along the second axis, and in it one along the first.
    part = Part("w", (2, 3, 4)).pick(1, 2).pick(0, 1)
    assert str(part) == "w[1, 2] [2, 3, 4]"
    array = np.arange(24).reshape(2, 3, 4)
    np.testing.assert_array_equal(part.of(array), array[1, 2])
    assert part.shape == (4,)


# What only the user can tell


def square(count: int = 3) -> tuple[Outline, Outline]:
    block = {"mix": plain(w=(4, 4), b=(4,)), "norm": plain(scale=(4,), bias=(4,))}
    return torch(blocks(count, block={"mix": linear(4, 4), "norm": norm(4)})), jax_tree(stacked(count, block=block))


def test_what_may_be_laid_out_in_two_ways_is_asked_once_of_all_layers() -> None:
    said = refusal(*square())
    assert said.count("in more than one way") == 1
    assert 'write the override "blocks.0.mix.weight": "blocks.0.mix.w: as is" or ' in said
    for override in ("transpose", "blocks.0.mix.w: transpose"):
        weights = find(*square(), {"blocks.0.mix.weight": override})
        assert lines(weights, "mix.weight") == [
            f"blocks.{index}.mix.weight [4, 4] -> blocks.mix.w[{index}] [3, 4, 4], transpose" for index in range(3)
        ]


def test_a_layer_may_be_told_to_be_otherwise_than_the_first() -> None:
    weights = find(*square(), {"blocks.0.mix.weight": "transpose", "blocks.2.mix.weight": "as is"})
    assert [line.rpartition(", ")[2] for line in lines(weights, "mix.weight")] == ["transpose", "transpose", "as is"]


def test_a_stack_of_another_name_may_be_given_to_a_list() -> None:
    alike = {"fc": linear(4, 8)}, {"fc": plain(w=(4, 8), b=(8,))}
    of_torch = torch(blocks(2, "up", alike[0]) | blocks(2, "down", alike[0]))
    of_jax = jax_tree(stacked(2, "one", alike[1]) | stacked(2, "two", alike[1]))
    assert "are alike" in refusal(of_torch, of_jax)
    weights = find(of_torch, of_jax, {"up": "two.fc", "down": "one.fc"})
    assert lines(weights, "up.1.fc.bias") == ["up.1.fc.bias [8] -> two.fc.b[1] [2, 8], as is"]


# What does not come out


@pytest.mark.parametrize(("count", "words"), [(2, "no JAX leaf for blocks.2."), (4, "no torch tensor for blocks.3.")])
def test_a_layer_too_few_or_too_many_is_named_by_its_number(count: int, words: str) -> None:
    said = refusal(torch(ENDS | blocks(3)), jax(JAX_ENDS | stacked(count)))
    assert said.startswith(f"the weight map cannot be found: {words}")
    assert "blocks.1" not in said.partition("; blocks is taken")[0]
    assert said.endswith(
        f"; blocks is taken to hold {count} layers stacked along axis 0, blocks.0 to blocks.{count - 1}"
    )


def test_one_array_that_is_stacked_along_another_axis_makes_no_stack() -> None:
    mixed = stacked(3) | stacked(3, block={"down": jax_linear(8, 4)}, axis=1)
    assert "no torch tensor for blocks.norm.scale [3, 4]" in refusal(torch(ENDS | blocks(3)), jax(JAX_ENDS | mixed))


def test_what_fails_for_another_reason_is_told_as_it_was() -> None:
    apart = {f"blocks.{i}.{name}": layer for i in range(4) for name, layer in JAX_BLOCK.items()}
    said = "the weight map cannot be found: no JAX leaf for head.weight [2, 4], head.bias [2]"
    assert refusal(torch(blocks(4) | {"head": linear(4, 2)}), jax(apart)) == said
    # Where each array is as long as there are blocks, the list of them looks like a stack.
    of_torch = torch(blocks(4, block={"fc": own(weight=(4, 4, 4))}) | {"head": linear(4, 2)})
    of_jax = jax({f"blocks.{i}.fc": own(kernel=(4, 4, 4)) for i in range(4)})
    assert unstacked(of_torch, of_jax, lambda found: 9 - len(found.stacks), {}).stacks == (Stack("blocks", 0, 4),)
    assert refusal(of_torch, of_jax) == said


def test_where_a_leaf_stands_for_a_tensor_nothing_is_taken_apart() -> None:
    gated = torch({"experts": own(w=(3, 4, 8)), "norms.0": norm(32), "norms.1": norm(32)})
    of_jax = jax_tree({"experts": plain(w=(3, 4, 8)), "norms.0": jax_norm(32), "norms.1": jax_norm(32)})
    weights = find(gated, of_jax)
    assert lines(weights, "experts.w") == ["experts.w [3, 4, 8] -> experts.w [3, 4, 8], as is"]
    assert not weights.listed


@pytest.mark.parametrize("first", [True, False])
def test_what_only_looks_like_a_stack_stays_whole_beside_one(first: bool) -> None:
    # A row of the table is as long as the norms of each block, which have a number, too.
    block = {"norm1": norm(4), "up": linear(4, 8), "norm2": norm(8)}
    of_jax = stacked(3, block={"norm1": jax_norm(4), "up": jax_linear(4, 8), "norm2": jax_norm(8)})
    table: dict[str, Layer] = {"table": ("Embedding", {"weight": (5, 4)}, {}, {})}
    jax_table: dict[str, Layer] = {"table": ("Embed", {"embedding": (5, 4)}, {}, {})}
    weights = find(torch(table | blocks(3, block=block)), jax(jax_table | of_jax if first else of_jax | jax_table))
    assert lines(weights, "table.weight") == ["table.weight [5, 4] -> table.embedding [5, 4], as is"]
    assert [line.partition(" ")[0] for line in weights.listed] == ["blocks"]


def looking_like_one(
    of_torch: dict[str, Layer], of_jax: dict[str, Layer], tied: dict[str, str] | None = None
) -> list[str]:
    """The names of all that looks like a stack, whether or not it is one."""
    found = unstacked(torch(of_torch), jax(of_jax, tied), lambda found: 9 - len(found.stacks), {})
    return [stack.module for stack in found.stacks]


def test_what_does_not_even_look_like_a_stack_is_not_tried() -> None:
    assert looking_like_one(blocks(3), JAX_ENDS | stacked(3)) == ["blocks"]
    other = JAX_BLOCK | {"up": jax_linear(4, 9), "down": jax_linear(9, 4)}
    assert looking_like_one(blocks(3), JAX_ENDS | stacked(3, block=other)) == []
    # A row of a table has the size of the norms.
    norms = {"norms.0": norm(4), "norms.1": norm(4)}
    assert looking_like_one(norms, {"table": own(embedding=(5, 4))}) == []
    # Tied from inside to outside, a leaf is no layer's own.
    outside = {"blocks.up.bias": "table.bias"}
    assert looking_like_one(blocks(3), JAX_ENDS | {"table": own(bias=(3, 8))} | stacked(3), outside) == []
    # Where a block is as wide as there are blocks, the list of them looks like a stack again.
    square = {"blocks.fc": own(kernel=(4, 4, 4, 4))}
    assert looking_like_one(blocks(4, block={"fc": own(weight=(4, 4, 4))}), square) == ["blocks.fc"]


def test_a_stack_in_each_layer_is_tried_once_for_all() -> None:
    tried = []

    def left(found: Unstacked) -> int:
        tried.append([stack.module for stack in found.stacks])
        return 9 - min(len(found.stacks), 1)

    of_torch = torch(
        blocks(2, block={f"experts.{index}.up": linear(4, 8) for index in range(3)} | {"gate": linear(4, 4)})
    )
    experts = {"blocks.experts.up": own(kernel=(2, 3, 4, 8), bias=(2, 3, 8))}
    found = unstacked(of_torch, jax(stacked(2, block={"gate": jax_linear(4, 4)}) | experts), left, {})
    both = ["blocks", "blocks.0.experts.up", "blocks.1.experts.up"]
    assert tried == [both, [], ["blocks"], both]
    assert [stack.module for stack in found.stacks] == ["blocks"]


def test_a_map_that_leaves_a_layer_out_or_takes_it_twice_is_none() -> None:
    weights = find(torch(ENDS | blocks(3)), jax(JAX_ENDS | stacked(3)))
    others = tuple(entry for entry in weights.entries if entry.torch.name != "blocks.1.up.bias")
    with pytest.raises(NotCheckable, match=r"not a weight map: blocks\.up\.bias is not mapped at 1$"):
        WeightMap(others, [], {})
    twice = tuple(
        entry._replace(jax=entry.jax._replace(at=((0, 0),))) if entry.torch.name == "blocks.1.up.bias" else entry
        for entry in weights.entries
    )
    with pytest.raises(NotCheckable, match=r"blocks\.up\.bias at 0 is mapped more than once"):
        WeightMap(twice, [], {})
