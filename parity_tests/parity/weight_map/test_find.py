"""What the search settles by name, by order and by shape, what it asks, and what it says of what does not come out."""

from __future__ import annotations

from itertools import permutations

import pytest

from parity.errors import NotCheckable
from parity.weight_map.find import find
from parity.weight_map.outline import Outline, Shapes
from parity.weight_map.weight_map import Layer, WeightMap
from parity_tests.parity.weight_map.made_outlines import Layer as Described
from parity_tests.parity.weight_map.made_outlines import (
    batch_norm,
    conv,
    jax,
    jax_batch_norm,
    jax_conv,
    jax_linear,
    jax_norm,
    jax_tree,
    linear,
    norm,
    own,
    plain,
    torch,
)  # fmt: skip


def leaves(weights: WeightMap) -> dict[str, str]:
    return {entry.torch.name: entry.jax.name for entry in weights.entries}


def refusal(of_torch: Outline, of_jax: Outline, overrides: dict[str, str] | None = None) -> str:
    with pytest.raises(NotCheckable) as raised:
        find(of_torch, of_jax, overrides or {})
    assert "\n" not in str(raised.value)
    return str(raised.value)


# By name, by order


TWINS = {
    "names win": {"fc1": "fc1", "fc2": "fc2", "fc3": "fc3"},
    "numbers win": {"layers.0": "layers_0", "layers.1": "layers_1", "layers.2": "layers_2"},
    "from 0 or 1": {"fc_1": "fc0", "fc_2": "fc1", "fc_3": "fc2"},
    "attention": {"query_proj": "q", "k_proj": "key", "wv": "value"},
}
IN_ORDER = {
    "other names": {"a": "x", "b": "y", "c": "z"},
    "gaps": {"net.0": "net.0", "net.2": "net.1", "net.4": "net.2"},
    "nested": {"block.attn.a": "enc.one", "block.mlp.b": "enc.two", "head": "out"},
    "nested otherwise": {"a": "layers.0.x", "b": "layers.1.y", "head.0": "z"},
    "deeper in torch": {"model.body.0": "a", "model.body.1": "b", "model.head": "c"},
}


def twins(pairs: dict[str, str], of_jax: list[str]) -> tuple[dict[str, str], dict[str, str]]:
    found = find(torch(dict.fromkeys(pairs, linear(4, 4))), jax(dict.fromkeys(of_jax, jax_linear(4, 4))))
    names = (("weight", "kernel"), ("bias", "bias"))
    return leaves(found), {f"{one}.{mine}": f"{other}.{own}" for one, other in pairs.items() for mine, own in names}


@pytest.mark.parametrize("name", TWINS)
def test_equal_layers_are_told_apart_by_their_names_in_whatever_order(name: str) -> None:
    for of_jax in permutations(TWINS[name].values()):
        found, expected = twins(TWINS[name], list(of_jax))
        assert found == expected


@pytest.mark.parametrize("name", IN_ORDER)
def test_equal_layers_of_other_names_are_told_apart_by_their_order(name: str) -> None:
    found, expected = twins(IN_ORDER[name], list(IN_ORDER[name].values()))
    assert found == expected


def test_pairs_that_only_their_order_tells_are_known() -> None:
    of_jax = jax({"x": jax_linear(4, 4), "y": jax_linear(4, 4), "z": jax_linear(4, 5)})
    found = find(torch({"a": linear(4, 4), "b": linear(4, 4), "c": linear(4, 5)}), of_jax)
    assert found.by_order == ("a and x", "b and y")
    named = find(torch({"x": linear(4, 4), "y": linear(4, 4), "z": linear(4, 5)}), of_jax)
    assert named.by_order == ()


def test_a_name_that_stands_elsewhere_contradicts_the_order_and_is_asked_about() -> None:
    of_torch, of_jax = torch({"norm1": norm(4), "norm2": norm(4)}), jax({"norm2": jax_norm(4), "norm3": jax_norm(4)})
    said = refusal(of_torch, of_jax)
    assert "norm1, norm2 and norm2, norm3 are alike" in said
    assert '"norm1": "norm2"' in said
    told = find(of_torch, of_jax, {"norm1": "norm3", "norm2": "norm2"})
    assert leaves(told)["norm1.weight"] == "norm3.scale"


def test_a_name_that_begins_alike_elsewhere_contradicts_the_order_too() -> None:
    square, twin = dict.fromkeys(("up", "down"), linear(4, 4)), jax_linear(4, 4)
    assert "up, down and down_proj, up_proj are alike" in refusal(
        torch(square), jax({"down_proj": twin, "up_proj": twin})
    )
    found = leaves(find(torch(square), jax({"up_proj": twin, "down_proj": twin})))
    assert found["up.weight"] == "up_proj.kernel"


def test_in_a_plain_tree_order_says_nothing_and_numbers_and_shapes_do() -> None:
    three = torch({"a": linear(4, 4), "b": linear(4, 4), "c": linear(4, 2)})
    square, last = plain(kernel=(4, 4), bias=(4,)), plain(kernel=(4, 2), bias=(2,))
    assert "a, b and x, y are alike" in refusal(three, jax_tree({"x": square, "y": square, "z": last}))
    found = leaves(find(three, jax_tree({"Dense_1": square, "Dense_0": square, "out": last})))
    assert [found[f"{name}.weight"] for name in "abc"] == ["Dense_0.kernel", "Dense_1.kernel", "out.kernel"]


def test_kinds_are_not_mistaken_for_one_another() -> None:
    of_torch = torch({"one": norm(4), "two": batch_norm(4), "three": linear(4, 4)})
    of_jax = jax({"d": jax_linear(4, 4), "a": jax_norm(4), "b": jax_batch_norm(4)})
    found = leaves(find(of_torch, of_jax, {"one": "a"}))
    assert (found["three.weight"], found["two.running_var"]) == ("d.kernel", "b.var")


# What leaf names decide


def test_the_name_of_a_leaf_decides_over_a_square_and_any_other_name_is_asked_about() -> None:
    of_torch = torch({"a": linear(4, 4)})
    layouts = {name: jax_tree({"a": plain(**{name: (4, 4)}, bias=(4,))}) for name in ("kernel", "weight", "w")}
    steps = {name: find(of_torch, layouts[name]).entries[0].steps for name in ("kernel", "weight")}
    assert [str(step) for step in steps["kernel"]] == ["transpose"]
    assert steps["weight"] == ()
    said = refusal(of_torch, layouts["w"])
    assert '"a.weight": "a.w: as is" or "a.weight": "a.w: transpose"' in said
    told = find(of_torch, layouts["w"], {"a.weight": "a.w: transpose"}).entries[0]
    assert told.steps == steps["kernel"]
    assert find(of_torch, layouts["w"], {"a.weight": "as is"}).entries[0].steps == ()


def test_a_square_of_the_users_own_is_asked_about_and_other_parameters_are_not() -> None:
    raw = own(proj=(4, 4), class_token=(1, 1, 4), pos_embedding=(1, 5, 4))
    of_torch, of_jax = torch({"": raw}), jax({"": own(proj=(4, 4), cls=(1, 1, 4), pos=(1, 5, 4))})
    assert '"proj": "proj: as is"' in refusal(of_torch, of_jax)
    found = leaves(find(of_torch, of_jax, {"proj": "as is"}))
    assert found == {"proj": "proj", "class_token": "cls", "pos_embedding": "pos"}


def test_a_parameter_may_have_moved_to_another_module() -> None:
    of_torch = torch({"": own(class_token=(1, 1, 4)), "encoder": own(pos=(1, 5, 4)), "encoder.fc": linear(4, 3)})
    of_jax = jax({"": own(cls=(4,), positions=(5, 4)), "fc": jax_linear(4, 3)})
    found = find(of_torch, of_jax)
    assert leaves(found)["encoder.pos"] == "positions"
    assert leaves(found)["class_token"] == "cls"


# What stands on one side only


def test_a_counter_is_kept_in_torch_and_listed_unless_jax_counts_too() -> None:
    of_torch = torch({"bn": batch_norm(3)})
    found = find(of_torch, jax({"bn": jax_batch_norm(3)}))
    assert found.listed == ["bn.num_batches_tracked is held on the torch side only"]
    kind, parameters, statistics, config = jax_batch_norm(3)
    counting = find(of_torch, jax({"bn": (kind, parameters, {**statistics, "count": ()}, config)}))
    assert counting.listed == []
    assert leaves(counting)["bn.num_batches_tracked"] == "bn.count"


@pytest.mark.parametrize("side", ["torch", "jax", "both"])
def test_a_buffer_beside_the_only_layer_is_no_layer(side: str) -> None:
    table: Described = ("", {}, {"table": (3,)}, {})
    of_torch, of_jax = {"fc": linear(4, 5)}, {"fc": jax_linear(4, 5)}
    if side != "jax":
        of_torch = {"": table} | of_torch
    if side != "torch":
        of_jax = {"": table} | of_jax
    found = find(torch(of_torch), jax(of_jax))
    entries = {"fc.weight": "fc.kernel", "fc.bias": "fc.bias"}
    assert leaves(found) == entries | ({"table": "table"} if side == "both" else {})
    alone = {"torch": "table is held on the torch side only", "jax": "table is held on the jax side only"}
    assert found.listed == ([alone[side]] if side in alone else [])


def test_a_single_layer_is_found_in_what_wraps_it_though_it_has_nothing_but_buffers() -> None:
    kind, parameters, statistics, config = batch_norm(3)
    other, mine, found, settings = jax_batch_norm(3)
    for trained, its in ((parameters, mine), ({}, {})):
        of_torch: Described = (kind, trained, statistics, config)
        weights = find(torch({"": of_torch}), jax({"bn": (other, its, found, settings)}))
        assert leaves(weights)["running_mean"] == "bn.mean"


def test_statistics_without_a_twin_are_an_error() -> None:
    said = refusal(torch({"bn": norm(3)}), jax({"bn": jax_batch_norm(3)}))
    assert "no torch tensor for bn.mean [3], bn.var [3]" in said


def test_a_batch_norm_of_torchs_that_keeps_none_may_stand_beside_one_that_does() -> None:
    found = find(torch({"bn": (*batch_norm(3)[:2], {}, {})}), jax({"bn": jax_batch_norm(3)}))
    assert found.listed == ["bn.mean is held on the jax side only", "bn.var is held on the jax side only"]


def test_everything_that_is_unmapped_is_named_at_once() -> None:
    of_torch = torch({"a": linear(3, 4), "b": linear(4, 5), "gone": norm(9)})
    of_jax = jax({"a": jax_linear(3, 4), "b": ("Linear", {"kernel": (4, 5)}, {}, {}), "more": jax_linear(7, 7)})
    said = refusal(of_torch, of_jax)
    assert "no JAX leaf for b.bias [5], gone.weight [9], gone.bias [9]" in said
    assert "no torch tensor for more.kernel [7, 7], more.bias [7]" in said
    assert "a." not in said


def test_an_array_and_a_leaf_of_its_shape_that_are_left_alone_are_offered_as_an_override() -> None:
    of_torch = torch({"embed": ("Embedding", {"weight": (7, 4)}, {}, {}), "fc": linear(4, 5)})
    of_jax = jax_tree({"": plain(table=(7, 4)), "fc": plain(w=(4, 5), b=(5,))})
    said = refusal(of_torch, of_jax)
    assert said.endswith('if one stands for the other, write the override "embed.weight": "table"')
    assert leaves(find(of_torch, of_jax, {"embed.weight": "table"}))["embed.weight"] == "table"
    two = jax_tree({"": plain(table=(7, 4), other=(7, 4)), "fc": plain(w=(4, 5), b=(5,))})
    assert '"embed.weight": "table | other"' in refusal(of_torch, two)


def test_a_module_of_one_array_is_the_leaf_of_its_name() -> None:
    embedding: Described = ("Embedding", {"weight": (7, 4)}, {}, {})
    scale: Described = ("RMSNorm", {"weight": (4,)}, {}, {})
    of_torch = torch({"embed": embedding, "block.norm": scale, "block.fc": linear(4, 5), "norm": scale})
    fc = plain(w=(4, 5), b=(5,))
    found = find(of_torch, jax_tree({"": plain(norm=(4,), embed=(7, 4)), "block": plain(norm=(4,)), "block.fc": fc}))
    assert {name: leaves(found)[f"{name}.weight"] for name in ("embed", "norm", "block.norm")} == {
        "embed": "embed", "norm": "norm", "block.norm": "block.norm",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("module", "leaf"),
    [
        (("Embedding", {"weight": (7, 4)}, {}, {}), {"embed": (4, 7)}),
        (("Embedding", {"weight": (7, 4)}, {}, {}), {"embed": (7, 4), "Embed": (7, 4)}),
        (("Embedding", {"weight": (7, 4), "more": (7, 4)}, {}, {}), {"embed": (7, 4)}),
    ],
    ids=["another shape", "two of the name", "two arrays"],
)
def test_a_leaf_of_a_modules_name_alone_is_not_enough(module: Described, leaf: Shapes) -> None:
    of_jax = jax_tree({"": plain(**leaf), "fc": plain(w=(4, 5), b=(5,))})
    assert "no JAX leaf for embed.weight" in refusal(torch({"embed": module, "fc": linear(4, 5)}), of_jax)


def test_a_square_leaf_of_a_modules_name_is_asked_about() -> None:
    square: Described = ("Linear", {"weight": (4, 4)}, {}, {})
    of_torch, of_jax = torch({"wo": square, "fc": linear(4, 5)}), {"": plain(wo=(4, 4)), "fc": plain(w=(4, 5), b=(5,))}
    assert '"wo.weight": "wo: as is" or "wo.weight": "wo: transpose"' in refusal(of_torch, jax_tree(of_jax))


def opened_up(*numbers: int) -> tuple[Outline, Outline]:
    """Two blocks in a list beside two at these places, whose weights are not counted alike: `shift` is a bias."""
    blocks = {f"layers.{n}.{name}": of for n in (0, 1) for name, of in (("a", norm(4)), ("b", linear(4, 5)))}
    parts = {"b": plain(w=(4, 5), shift=(5,)), "a": plain(scale=(4,), bias=(4,))}
    return torch(blocks), jax_tree({f"layers.{n}.{name}": part for n in numbers for name, part in parts.items()})


def test_what_was_opened_up_is_told_apart_by_its_full_names() -> None:
    found = leaves(find(*opened_up(0, 1)))
    assert len(found) == 8
    assert all(of.rpartition(".")[0] == to.rpartition(".")[0] for of, to in found.items())


def test_full_names_say_nothing_where_they_stand_in_other_places() -> None:
    assert "layers.0.a, layers.1.a and layers.0.a, layers.2.a are alike" in refusal(*opened_up(0, 2))


def test_biases_called_b_are_biases() -> None:
    names = [f"layers.{index}.{name}" for index in range(2) for name in ("up", "again")]
    of_jax = jax_tree({name: plain(w=(4, 5), b=(5,)) for name in names})
    found = leaves(find(torch({name: linear(4, 5) for name in names}), of_jax))
    assert found == {f"{name}.{own}": f"{name}.{own[0]}" for name in names for own in ("weight", "bias")}
    apart = torch({f"{letter}_proj": linear(4, 6) for letter in "qkv"})
    packed = find(apart, jax_tree({"qkv": plain(w=(4, 18), b=(18,))}))
    assert [str(entry.jax) for entry in packed.entries][:2] == ["qkv.w[:, 0:6] [4, 18]", "qkv.b[0:6] [18]"]


def test_what_is_a_module_on_one_side_only_is_asked_for_by_the_names_of_its_arrays() -> None:
    packed: Described = (
        "MultiheadAttention", {"in_proj_weight": (12, 4), "in_proj_bias": (12,)}, {}, {},
    )  # fmt: skip
    of_torch = torch({"a": packed, "a.out_proj": linear(4, 4), "b": packed, "b.out_proj": linear(4, 4)})
    square, wide = plain(w=(4, 4), b=(4,)), plain(w=(4, 12), b=(12,))
    said = refusal(of_torch, jax_tree({"p": wide, "q": wide, "r": square, "s": square}))
    assert '"a.in_proj_weight": "p.w"' in said
    assert '"a.out_proj.weight": "r.w"' in said


def test_a_shape_that_no_layout_explains_is_an_error_with_both_names() -> None:
    said = refusal(torch({"a": linear(3, 4)}), jax({"a": jax_linear(3, 5)}))
    assert "a.weight [4, 3]" in said
    assert "a.kernel [3, 5]" in said


# Tied


def test_tied_weights_are_one_entry_and_listed() -> None:
    embedding: Described = ("Embedding", {"weight": (7, 4)}, {}, {})
    head: Described = ("Linear", {"weight": (7, 4)}, {}, {})
    twin: Described = ("Embed", {"embedding": (7, 4)}, {}, {})
    for tied, layers in (
        ({"head.weight": "wte.weight"}, {"wte": embedding, "head": head}),
        ({"wte.weight": "head.weight"}, {"head": head, "wte": embedding}),
    ):
        (first,) = tied.values()
        found = find(torch(layers, tied), jax({"wte": twin}))
        assert leaves(found) == {first: "wte.embedding"}
        assert found.listed == [f"{next(iter(tied))} is {first}"]
        said = refusal(torch(layers, tied), jax({"wte": twin, "head": ("Linear", {"kernel": (4, 7)}, {}, {})}))
        assert "head.kernel [4, 7]" in said
        assert f"tied on the torch side: {next(iter(tied))} is {first}" in said
        assert "no JAX leaf for head.weight [7, 4]" in refusal(torch(layers), jax({"wte": twin}))


def test_weights_tied_on_both_sides_are_one_entry_and_on_the_jax_side_only_an_error() -> None:
    kernels, tied = {"a": jax_linear(4, 4), "b": jax_linear(4, 4)}, {"b.kernel": "a.kernel"}
    both = find(torch({"a": linear(4, 4), "b": linear(4, 4)}, {"b.weight": "a.weight"}), jax(kernels, tied))
    assert leaves(both) == {"a.weight": "a.kernel", "a.bias": "a.bias", "b.bias": "b.bias"}
    said = refusal(torch({"a": linear(4, 4), "b": linear(4, 4)}), jax(kernels, tied))
    assert "b.weight" in said
    assert "tied on the jax side: b.kernel is a.kernel" in said


# Layers


def test_layers_know_their_torch_twin_and_where_it_has_its_channels() -> None:
    of_torch = torch({"net.0": conv(3, 4, 3, 3), "net.1": batch_norm(4), "fc": linear(4, 2), "ln": norm(2)})
    of_jax = jax({"conv": jax_conv(3, 4, 3, 3), "bn": jax_batch_norm(4), "fc": jax_linear(4, 2), "ln": jax_norm(2)})
    assert find(of_torch, of_jax).layers == {
        "conv": Layer("net.0", True), "bn": Layer("net.1", True), "fc": Layer("fc", False), "ln": Layer("ln", False),
    }  # fmt: skip


def test_what_was_paired_only_for_the_sake_of_an_error_never_becomes_a_map() -> None:
    # Of the user's own modules each holds what the other side has elsewhere, which the shapes settle; a and b do not.
    of_torch = torch({"a": linear(4, 4), "b": linear(4, 4), "m": own(p=(3,), q=(5,)), "k": own(r=(6,))})
    square = plain(kernel=(4, 4), bias=(4,))
    of_jax = jax_tree({"x": square, "y": square, "m": plain(p=(3,)), "k": plain(q=(5,), r=(6,))})
    refusal(of_torch, of_jax)
    told = find(of_torch, of_jax, {"a": "y", "b": "x", "m.q": "k.q"})
    assert leaves(told) | {"m.q": "k.q", "a.weight": "y.kernel"} == leaves(told)


def test_an_array_that_no_rule_knows_is_not_forgotten() -> None:
    projected: Described = (
        "LSTM", {"weight_ih_l0": (16, 3), "weight_hh_l0": (16, 4), "weight_hr_l0": (4, 4)}, {}, {},
    )  # fmt: skip
    products = {"cell.dense_i": plain(kernel=(3, 16)), "cell.dense_h": plain(kernel=(4, 16))}
    said = refusal(torch({"cell": projected}), jax(products))
    assert said == "the weight map cannot be found: no counterpart for cell.weight_hr_l0 of torch"
