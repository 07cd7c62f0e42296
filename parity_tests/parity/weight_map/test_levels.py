"""What belongs together on one level by names that are akin."""

from __future__ import annotations

from parity.weight_map.find import find
from parity_tests.parity.weight_map.made_outlines import jax_tree, linear, plain, torch
from parity_tests.parity.weight_map.test_find import leaves, refusal


def test_in_a_plain_tree_names_of_which_one_begins_with_the_other_belong_together() -> None:
    of_torch = torch(dict.fromkeys(("gate_proj", "up_proj", "down_proj"), linear(4, 4)))
    twin = plain(kernel=(4, 4), bias=(4,))
    found = leaves(find(of_torch, jax_tree(dict.fromkeys(("down", "gate", "up"), twin))))
    for name in ("up", "down", "gate"):
        assert found[f"{name}_proj.weight"] == f"{name}.kernel"
    # All of them, or none: what is left of two may be the other, or not.
    assert "are alike" in refusal(of_torch, jax_tree(dict.fromkeys(("down", "gate", "wide"), twin)))
    of_two = torch(dict.fromkeys(("up_a", "up_b"), linear(4, 4)))
    assert "are alike" in refusal(of_two, jax_tree(dict.fromkeys(("up", "down"), twin)))
