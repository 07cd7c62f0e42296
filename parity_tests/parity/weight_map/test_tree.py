"""A layer that is one in torch and several in JAX is taken apart, unless the other model has it as torch does."""

from __future__ import annotations

import pytest

from parity.weight_map.find import find
from parity.weight_map.outline import STILL, Outline, Shapes
from parity.weight_map.tree import tree
from parity_tests.parity.weight_map.made_outlines import Layer, jax_tree, linear, plain, torch

BOTH_WAYS: Shapes = {
    f"{kind}_l0{way}": shape
    for way in ("", "_reverse")
    for kind, shape in (("weight_ih", (18, 6)), ("weight_hh", (18, 6)), ("bias_ih", (18,)), ("bias_hh", (18,)))
}
ONE_WAY = {own: shape for own, shape in BOTH_WAYS.items() if not own.endswith("_reverse")}


def gru(shapes: Shapes) -> Layer:
    return "GRU", shapes, {}, {}


@pytest.mark.parametrize("shapes", [ONE_WAY, BOTH_WAYS])
def test_arrays_of_the_same_names_and_shapes_are_paired_as_they_are(shapes: Shapes) -> None:
    found = find(torch({"rnn": gru(shapes)}), jax_tree({"rnn": plain(**shapes)}))
    assert [str(entry) for entry in found.entries] == [
        f"rnn.{own} {list(shape)} -> rnn.{own} {list(shape)}, as is" for own, shape in shapes.items()
    ]


def test_a_layer_in_both_directions_is_two_cells_where_one_name_or_shape_is_another() -> None:
    outline = torch({"rnn": gru(BOTH_WAYS)})
    for other in ({**BOTH_WAYS, "bias_hh_l0": (6,)}, {**ONE_WAY}):
        (rnn,) = tree(outline, {}, jax_tree({"rnn": plain(**other)})).children
        assert [child.name for child in rnn.children] == ["forward_rnn", "backward_rnn"]
    (rnn,) = tree(outline, {}, jax_tree({"other": plain(**BOTH_WAYS)})).children
    assert [leaf.own for leaf in rnn.leaves] == list(BOTH_WAYS)


LAYER: Shapes = {"w": (4, 5), "b": (5,)}
TWO_CRITICS = torch({f"{critic}.{name}": linear(4, 5) for critic in ("q", "target") for name in ("fc", "out")})
SCOPED = ("target/~/fc", "target/~/out", "q/~/fc", "q/~/out")


def leaf_of(outline: Outline) -> dict[str, str]:
    return {entry.torch.name: entry.jax.name for entry in find(TWO_CRITICS, outline).entries}


def test_the_scopes_in_a_name_are_the_modules_around_a_layer() -> None:
    """As Haiku has them, whose dicts of parameters are sorted, so that no order says what is which."""
    found = leaf_of(jax_tree({name: plain(**LAYER) for name in SCOPED}))
    assert found["q.out.weight"] == "q/~/out.w"
    assert found["target.fc.bias"] == "target/~/fc.b"
    assert len(found) == 8


def test_so_are_those_in_the_keys_of_a_flat_dict() -> None:
    flat = {f"{name}/{own}": shape for name in SCOPED for own, shape in LAYER.items()}
    found = leaf_of(jax_tree({"": plain(**flat)}))
    assert found["q.out.weight"] == "q/~/out/w"
    assert found["target.fc.bias"] == "target/~/fc/b"
    assert len(found) == 8


def test_a_scope_that_is_a_layer_itself_holds_the_others_too() -> None:
    (q,) = tree(jax_tree({"q": plain(w=(4, 5)), "q/fc": plain(**LAYER)}), {}).children
    assert [leaf.part.name for leaf in q.all_leaves()] == ["q.w", "q/fc.w", "q/fc.b"]


def test_attention_that_is_taken_apart_keeps_what_its_arrays_are() -> None:
    shapes: Shapes = {"in_proj_weight": (12, 4), "in_proj_bias": (12,)}
    outline = torch({"attn": ("MultiheadAttention", {}, shapes, {STILL: list(shapes)})})
    leaves = tree(outline, {}).all_leaves()
    assert [(leaf.own, leaf.buffer, leaf.still) for leaf in leaves] == [("weight", True, True), ("bias", True, True)]
