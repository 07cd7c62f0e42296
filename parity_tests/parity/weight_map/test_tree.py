"""A layer that is one in torch and several in JAX is taken apart, unless the other model has it as torch does."""

from __future__ import annotations

import pytest

from parity.weight_map.find import find
from parity.weight_map.outline import Shapes
from parity.weight_map.tree import tree
from parity_tests.parity.weight_map.made_outlines import Layer, jax_tree, plain, torch

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
