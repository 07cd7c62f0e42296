"""What the kernels of both sides work on: a matrix that holds the net, and a table of Adam's factors."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.case import BETAS
from benchmarks.kernels import COLUMNS, EDGE, TF32, WHOLE, Tiles, corrections, stack_of
from benchmarks.torch_side.problems import problem_of
from jaxnet import mnist

PARAMETERS = mnist.PROBLEM.draw_parameters(0)
STACK = stack_of(PARAMETERS, 1000)


def test_a_net_comes_back_out_of_its_matrix() -> None:
    matrix = STACK.matrix(PARAMETERS)
    assert matrix.shape == (STACK.height, COLUMNS) == (832 + 2 * 128, 128)
    assert np.count_nonzero(matrix) == sum(map(np.count_nonzero, PARAMETERS.values()))
    back = STACK.arrays(matrix)
    assert back.keys() == PARAMETERS.keys()
    assert all(np.array_equal(back[name], array) for name, array in PARAMETERS.items())


def test_a_bias_is_the_row_below_its_weight() -> None:
    matrix = STACK.matrix(PARAMETERS)
    assert np.array_equal(matrix[784, :100], PARAMETERS["fc1.bias"])
    assert np.array_equal(matrix[STACK.first + 100, :100], PARAMETERS["fc2.bias"])
    assert np.array_equal(matrix[STACK.first + COLUMNS + 100, :10], PARAMETERS["fc3.bias"])


@pytest.mark.parametrize("tiles", [TF32, WHOLE], ids=["tf32", "whole"])
def test_tiles_cover_the_net_without_a_rest(tiles: Tiles) -> None:
    first, net, update = tiles
    assert not STACK.first % first.inputs
    assert not COLUMNS % first.units
    assert not COLUMNS % net.inputs
    assert net.units == COLUMNS
    assert (update.inputs, update.units) == (EDGE, EDGE)
    assert not any(STACK.examples % tile.examples for tile in tiles)
    # A matrix multiplication in Triton and in Pallas has no side below 16.
    assert min(min(tile[:3]) for tile in tiles) >= 16


def test_the_third_layer_has_one_column_of_tiles() -> None:
    assert STACK.digits <= EDGE
    assert STACK.tiles == (STACK.height - COLUMNS) * COLUMNS // EDGE**2 + COLUMNS // EDGE == 124


def test_corrections_are_those_of_adam() -> None:
    found = corrections(5, 3, 0.03)
    assert found.shape == (3, 2)
    for row, step in zip(found, (6, 7, 8), strict=True):
        assert row == pytest.approx([0.03 / (1 - BETAS[0] ** step), (1 - BETAS[1] ** step) ** 0.5], rel=1e-12)


@pytest.mark.parametrize(("width", "fits"), [(25, False), (63, False), (64, True), (127, True), (128, False)])
def test_a_net_that_does_not_fit_is_refused(width: int, fits: bool) -> None:
    parameters = problem_of("mnist", width).draw_parameters(0)
    if fits:
        stack = stack_of(parameters, 10)
        assert stack.matrix(parameters).shape == (stack.height, COLUMNS)
    else:
        with pytest.raises(ValueError, match=f"have {width} units: expected 64 to 127"):
            stack_of(parameters, 10)
