"""Padding changes the sizes of products and nothing else."""

from __future__ import annotations

import jax
import numpy as np

from benchmarks.case import Case
from benchmarks.jax_side.padded import EXAMPLES, UNITS, Sizes, padded
from benchmarks.jax_side.problems import setup
from jaxnet.problem import Feed
from jaxnet.settings import computing


def test_every_size_of_a_product_suits_the_units_and_what_is_too_much_stays_at_0() -> None:
    with computing("cpu", "float32"):
        prepared = padded(setup(Case("mnist", steps=3, batch_size=20), "float32", seeds=[0]))
        carry, _ = prepared.run(prepared.place())
    shapes = {name: array.shape for name, array in carry.parameters.items()}
    assert shapes == {"fc1": (800, 112), "fc2": (112, 112), "fc3": (112, 16)}
    assert not any(size % UNITS for shape in shapes.values() for size in shape)
    for tree in (carry.parameters, carry.exp_avg):
        assert sum(int(np.count_nonzero(array)) for array in tree.values()) <= 785 * 100 + 101 * 100 + 101 * 10
        assert not any(np.any(array[-1]) or np.any(array[:, -1]) for array in tree.values())


def test_a_batch_is_filled_up_with_examples_that_do_not_count() -> None:
    sizes = Sizes((("fc", 2, 1),), 3)
    x = jax.numpy.array([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]])
    whole = sizes.feed(Feed({"x": x, "target": x[:, :1]})).batch(0)
    assert whole["x"].shape == (EXAMPLES, UNITS)
    assert np.array_equal(whole["x"][:4, :4], [[1, 2, 1, 0], [3, 4, 1, 0], [5, 6, 1, 0], [0, 0, 0, 0]])
    drawn = sizes.feed(Feed({"x": x, "target": x[:, :1]}, jax.numpy.array([[2, 0, 2]])))
    assert drawn.rows is not None
    assert drawn.rows.shape == (1, EXAMPLES)
    assert np.array_equal(drawn.batch(0)["x"][:4, :3], [[5, 6, 1], [1, 2, 1], [5, 6, 1], [0, 0, 0]])
    parameters = {"fc.weight": np.array([[1.0, -1.0]]), "fc.bias": np.array([0.5])}
    carried = sizes.carried(parameters)
    # Errors of 1 - x0 - (x1 - 0.5): -0.5 - x0, summed over three examples and no others.
    errors = np.array([-1.5, -3.5, -5.5])
    assert np.isclose(sizes.loss({"fc": jax.numpy.array(carried["fc"])}, whole), np.sum(errors**2))
    assert all(np.array_equal(found, parameters[name]) for name, found in sizes.arrays(carried).items())
