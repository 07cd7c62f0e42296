"""What the kernels of both sides work on: a matrix that holds the net, and a table of Adam's factors."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.case import BETAS
from benchmarks.kernels import EDGE, TF32, WHOLE, WIDTH, Tiles, scales, stack_of
from jaxnet import mnist

PARAMETERS = mnist.PROBLEM.draw_parameters(0)
STACK = stack_of(PARAMETERS, 1000)


def test_a_net_comes_back_out_of_its_matrix() -> None:
    matrix = STACK.matrix(PARAMETERS)
    assert matrix.shape == (STACK.height, WIDTH) == (832 + 2 * 128, 128)
    assert np.count_nonzero(matrix) == sum(map(np.count_nonzero, PARAMETERS.values()))
    back = STACK.arrays(matrix)
    assert back.keys() == PARAMETERS.keys()
    assert all(np.array_equal(back[name], array) for name, array in PARAMETERS.items())


def test_a_bias_is_the_row_below_its_weight() -> None:
    matrix = STACK.matrix(PARAMETERS)
    assert np.array_equal(matrix[784, :100], PARAMETERS["fc1.bias"])
    assert np.array_equal(matrix[STACK.first + 100, :100], PARAMETERS["fc2.bias"])
    assert np.array_equal(matrix[STACK.first + WIDTH + 100, :10], PARAMETERS["fc3.bias"])


@pytest.mark.parametrize("tiles", [TF32, WHOLE], ids=["tf32", "whole"])
def test_tiles_cover_the_net_without_a_rest(tiles: Tiles) -> None:
    first, net, update = tiles
    assert not STACK.first % first.inputs
    assert not WIDTH % first.units
    assert not WIDTH % net.inputs
    assert net.units == WIDTH
    assert (update.inputs, update.units) == (EDGE, EDGE)
    assert not any(STACK.examples % tile.examples for tile in tiles)
    # A matrix multiplication in Triton and in Pallas has no side below 16.
    assert min(min(tile[:3]) for tile in tiles) >= 16


def test_the_third_layer_has_one_column_of_tiles() -> None:
    assert STACK.digits <= EDGE
    assert STACK.tiles == (STACK.height - WIDTH) * WIDTH // EDGE**2 + WIDTH // EDGE == 124


def test_scales_are_those_of_adam() -> None:
    found = scales(5, 3, 0.03)
    assert found.shape == (3, 2)
    for row, step in zip(found, (6, 7, 8), strict=True):
        assert row == pytest.approx([0.03 / (1 - BETAS[0] ** step), (1 - BETAS[1] ** step) ** 0.5], rel=1e-12)
