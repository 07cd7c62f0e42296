"""Watching a model changes nothing: with its layers seen, a port's two sides compute what they compute in training."""

from __future__ import annotations

import numpy as np
import pytest

from parity.judging.distance.factors import FLOAT64_FLOOR
from parity.recording import Arrays, Framework
from parity.sides.live import live_side
from parity.torch_side.layers import Layers
from parity_tests.ports.mistakes import MISTAKES
from parity_tests.ports.quick import quick

pytestmark = pytest.mark.usefixtures("compiled_once")


IN_JAX = ("convnet", "gpt", "gru")
"""Each is compiled twice: statistics, dropout, and a scan. The larger ones have nothing else."""


def apart(found: Arrays, expected: Arrays) -> float:
    """The largest difference of any tensor, as a share of the largest number in all of them."""
    assert found.keys() == expected.keys()
    scale = max(float(abs(array).max()) for array in expected.values())
    return max(float(abs(found[name] - array).max()) for name, array in expected.items()) / scale


def expect_the_same(port: str, framework: Framework) -> None:
    """A pass with its layers gives the loss, the gradients and the buffers of one without."""
    pair = quick(port, steps=1)
    side = live_side(pair.side(framework), framework, "float64", "cpu")
    parameters, (batch,) = side.initial(0), side.batches(0, 1)
    watched, plain = side.observe(parameters, batch), side.gradients(parameters, batch)
    seen = watched.gradients
    assert watched.forward
    if framework == "torch":
        # The same operations in the same order; JAX may fuse others.
        assert np.array_equal(seen.loss, plain.loss)
    assert apart({"loss": seen.loss}, {"loss": plain.loss}) < FLOAT64_FLOOR
    assert apart(seen.parameters, plain.parameters) < FLOAT64_FLOOR
    if plain.buffers:
        assert apart(seen.buffers, plain.buffers) < FLOAT64_FLOOR


@pytest.mark.parametrize(
    ("port", "framework"), [*((port, "torch") for port in MISTAKES), *((p, "jax") for p in IN_JAX)]
)
def test_watching_changes_neither_the_loss_nor_the_gradients_nor_what_is_kept(port: str, framework: Framework) -> None:
    expect_the_same(port, framework)


def test_a_watch_that_changes_what_a_layer_hands_on_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    leave = Layers.leave
    monkeypatch.setattr(Layers, "leave", lambda self, name, output: leave(self, name, output) * (1 + 1e-9))
    with pytest.raises(AssertionError):
        expect_the_same("gpt", "torch")
