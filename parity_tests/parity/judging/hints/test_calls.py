"""How often each side calls a layer is told of a call that only one has."""

from __future__ import annotations

import numpy as np
import pytest

from parity.judging.hints.calls import how_often
from parity.recording import Key
from parity_tests.parity.made_recordings import recording

ARRAY = np.zeros(3)


@pytest.mark.parametrize(
    ("tensor", "jax", "told"),
    [
        ("fc#2.output", ["fc.output"], "fc is called twice on the torch side and once on the jax side"),
        ("fc#2.input", ["fc.output"], "fc is called twice on the torch side and once on the jax side"),
        ("fc.output", [], "fc is called twice on the torch side and never on the jax side"),
        ("fc#2.output", ["fc.output", "fc#2.output"], ""),
        ("fc#2.tap", ["fc.output"], ""),
        ("output1", ["fc.output"], ""),
    ],
)
def test_how_often_a_layer_is_called(tensor: str, jax: list[str], told: str) -> None:
    torch = ["fc.input", "fc.output", "fc#2.output", "other.fc.output", "fc.output1", "fc.tap"]
    sides = [recording(("forward", 0, dict.fromkeys(names, ARRAY))) for names in (torch, jax)]
    assert how_often(Key("forward", 0, tensor), {"torch": sides[0], "jax": sides[1]}) == told
