"""Padding changes the sizes of products and nothing else, and both sides pad alike."""

from __future__ import annotations

import jax
import numpy as np
import pytest
import torch

from benchmarks.case import Case
from benchmarks.jax_side import padded as in_jax
from benchmarks.jax_side.problems import setup
from benchmarks.padding import EXAMPLES, UNITS, Layer, Sizes, sizes_of
from benchmarks.torch_side import padded as in_torch
from jaxnet.problem import Feed as JaxFeed
from jaxnet.settings import computing
from parity.recording import Array
from torchnet.problem import Feed as TorchFeed

SIZES = Sizes((Layer("fc1", 2, 3), Layer("fc2", 3, 2)), 3)
PARAMETERS = {
    "fc1.weight": np.array([[1.0, -1.0], [0.5, 2.0], [-3.0, 1.0]]),
    "fc1.bias": np.array([0.5, 0.0, 4.0]),
    "fc2.weight": np.array([[1.0, 2.0, 0.0], [0.0, -1.0, 1.0]]),
    "fc2.bias": np.array([-1.0, 2.0]),
}
X = np.array([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]])
ROWS = np.array([[2, 0, 2]])


def output(x: Array) -> Array:
    hidden = np.maximum(x @ PARAMETERS["fc1.weight"].T + PARAMETERS["fc1.bias"], 0)
    return np.asarray(hidden @ PARAMETERS["fc2.weight"].T + PARAMETERS["fc2.bias"])


def test_what_was_padded_comes_back() -> None:
    assert sizes_of(PARAMETERS, 3) == SIZES
    carried = SIZES.carried(PARAMETERS)
    assert not any(size % UNITS for matrix in carried.values() for size in matrix.shape)
    assert sum(np.count_nonzero(matrix) for matrix in carried.values()) == sum(
        map(np.count_nonzero, PARAMETERS.values())
    )
    back = SIZES.arrays(carried)
    assert back.keys() == PARAMETERS.keys()
    assert all(np.array_equal(back[name], array) for name, array in PARAMETERS.items())


def losses(data: dict[str, Array], rows: Array | None) -> list[float]:
    """The loss of the first batch on both sides."""
    carried = SIZES.carried(PARAMETERS)
    with jax.enable_x64(True):
        feed = JaxFeed(
            {k: jax.numpy.array(v) for k, v in data.items()}, None if rows is None else jax.numpy.array(rows)
        )
        batch = in_jax.filled_up(SIZES, feed).batch(0)
        assert batch["labels" if "labels" in data else "target"].shape[0] == EXAMPLES
        of_jax = float(in_jax.loss_of(SIZES, {k: jax.numpy.array(v) for k, v in carried.items()}, batch))
    torchs = TorchFeed({k: torch.tensor(v) for k, v in data.items()}, None if rows is None else torch.tensor(rows))
    padded = in_torch.filled_up(SIZES, torchs).batch(0)
    assert all(np.array_equal(padded[name].numpy(), batch[name]) for name in padded)
    return [of_jax, float(in_torch.loss_of(SIZES, {k: torch.tensor(v) for k, v in carried.items()}, padded))]


@pytest.mark.parametrize("rows", [None, ROWS], ids=["all of the data", "rows of it"])
def test_a_batch_is_filled_up_with_examples_that_do_not_count(rows: Array | None) -> None:
    chosen = slice(None) if rows is None else rows[0]
    target, labels = np.arange(6.0).reshape(3, 2), np.array([0, 1, 1])
    squared = np.sum((output(X) - target)[chosen] ** 2)
    assert losses({"x": X, "target": target}, rows) == pytest.approx([squared, squared], rel=1e-14)
    logits, right = output(X)[chosen], labels[chosen]
    entropy = np.mean(np.log(np.exp(logits).sum(1)) - logits[np.arange(3), right])
    assert losses({"images": X, "labels": labels}, rows) == pytest.approx([entropy, entropy], rel=1e-14)


def test_what_is_too_much_stays_at_0() -> None:
    with computing("cpu", "float32"):
        prepared = in_jax.padded(setup(Case("mnist", steps=3, batch_size=20), "float32", seeds=[0]))
        carry, _ = prepared.run(prepared.place())
    shapes = {name: array.shape for name, array in carry.parameters.items()}
    assert shapes == {"fc1": (800, 112), "fc2": (112, 112), "fc3": (112, 16)}
    for tree in (carry.parameters, carry.exp_avg):
        assert sum(int(np.count_nonzero(array)) for array in tree.values()) <= 785 * 100 + 101 * 100 + 101 * 10
        assert not any(np.any(array[-1]) or np.any(array[:, -1]) for array in tree.values())
