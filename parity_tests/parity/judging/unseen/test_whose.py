"""Which array a tensor of a recording belongs to: only those that are named after it, and by the longest name."""

from __future__ import annotations

import numpy as np
import pytest

from parity.judging.unseen.whose import held, whose
from parity.recording import Key
from parity_tests.parity.made_recordings import recording

ARRAYS = {"weight", "fc1.weight", "input", "gradient.bias"}


@pytest.mark.parametrize(
    ("stage", "tensor", "array"),
    [
        ("init", "weight", "weight"),
        ("backward", "weight", "weight"),
        ("update", "exp_avg.weight", "weight"),
        ("trajectory", "gradient.weight", "weight"),
        ("trajectory", "exp_avg.input", "input"),
        # Another array's, whose name ends alike.
        ("init", "fc1.weight", "fc1.weight"),
        ("backward", "fc1.weight", "fc1.weight"),
        ("update", "fc1.weight", "fc1.weight"),
        ("update", "exp_avg.fc1.weight", "fc1.weight"),
        ("trajectory", "gradient.fc1.weight", "fc1.weight"),
        ("trajectory", "gradient.bias", "gradient.bias"),
        # No array's: activations, their gradients, data, scores, counts.
        ("forward", "fc1.input", ""),
        ("backward", "fc1.input", ""),
        ("forward", "input", ""),
        ("data", "batch.input", ""),
        ("score", "held out.weight", ""),
        ("update", "step", ""),
        ("trajectory", "loss", ""),
        ("update", "overweight", ""),
    ],
)
def test_a_tensor_belongs_to_the_array_that_it_is_named_after_or_to_none(stage: str, tensor: str, array: str) -> None:
    assert whose(Key(stage, 0, tensor), ARRAYS) == array


def test_the_arrays_of_both_models_count() -> None:
    sides = [recording(("init", 0, {name: np.zeros(1)}), ("forward", 0, {"x": np.zeros(1)})) for name in ("a", "b")]
    assert held(*sides) == {"a", "b"}
