"""Whether what a JAX side gives in evaluation rests on arrays that it alone holds and that its training changed.

Scores are made from what both sides hold. What one side keeps beside is as it was at first, and a mistake in it unseen.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from parity.errors import listing


def rests_on(changed: Sequence[str], found: Mapping[str, Any], ended: Mapping[str, Any]) -> str:
    """What the output rests on of the side's own arrays that training has `changed`; empty where it does not.

    Args:
        changed: their names.
        found: the output with these as they were at first.
        ended: the same with them as the last call in training left them.
    """
    same = all(np.array_equal(found[name], ended[name], equal_nan=True) for name in found)
    return "" if same else listing(changed)
