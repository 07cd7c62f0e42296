"""How far one outcome of a variant is from another. NumPy only."""

from __future__ import annotations

import numpy as np

from benchmarks.prepared import Outcome


def apart(found: Outcome, expected: Outcome) -> float:
    """The furthest that losses, parameters or Adam's memory are from what they should be, over the largest entry."""
    assert found.losses.shape == expected.losses.shape
    pairs = [(found.losses, expected.losses)]
    for mine, right in zip(found.state, expected.state, strict=True):
        assert mine.keys() == right.keys()
        pairs += [(mine[name], right[name]) for name in right]
    return max(float(np.max(np.abs(mine - right)) / np.max(np.abs(right))) for mine, right in pairs)
