"""Leaves that look stacked are named where no map can be found."""

from __future__ import annotations

import pytest

from parity.errors import NotCheckable
from parity.weight_map.find import find
from parity_tests.parity.weight_map.made_outlines import Layer, jax_linear, jax_tree, linear, plain, torch

HEAD = {"head": linear(4, 2)}, {"head": jax_linear(4, 2)}


def refusal(of_torch: dict[str, Layer], of_jax: dict[str, Layer]) -> str:
    with pytest.raises(NotCheckable) as caught:
        find(torch(of_torch | HEAD[0]), jax_tree(of_jax | HEAD[1]), {})
    return str(caught.value)


def blocks(count: int) -> dict[str, Layer]:
    return {f"blocks.{index}.fc": linear(3, 4) for index in range(count)}


@pytest.mark.parametrize("name", ["blocks.fc", "layers.mlp.up"])
def test_leaves_that_hold_all_layers_beside_one_that_does_not_are_named_with_what_to_do(name: str) -> None:
    said = refusal(blocks(3), {name: plain(kernel=(3, 3, 4), bias=(3, 4), gate=(5,))})
    assert f"{name}.kernel, {name}.bias may hold arrays of several layers, for a scan: they are taken apart" in said


@pytest.mark.parametrize(
    ("count", "leaves"),
    [
        # One layer too many, another size, and a layer that has no number.
        (2, plain(kernel=(3, 3, 4), bias=(3, 4), gate=(5,))),
        (3, plain(kernel=(3, 5, 4), bias=(3, 5))),
        (0, plain(kernel=(3, 3, 4), bias=(3, 4))),
    ],
)
def test_nothing_is_said_of_other_leaves_that_are_left(count: int, leaves: Layer) -> None:
    assert "for a scan" not in refusal(blocks(count), {"blocks.fc": leaves})
