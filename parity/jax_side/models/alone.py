"""Whether what a JAX side gives in evaluation rests on arrays that it alone holds and that its training changed.

Scores are made from what both sides hold. What one side keeps beside is as it was at first, and a mistake in it unseen.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from parity.errors import listing
from parity.jax_side.models.protocol import Held, Models


def evaluated(
    predict: Callable[[Held, Any], Any], held: Held, batch: Any, models: Models, known: str = ""
) -> tuple[str, Any]:
    """What of the side's own the output in evaluation rests on, where that is not `known` yet, and the output.

    Empty where it is the same with what the side holds alone as a call in training left it.
    """
    found = predict(held, batch)
    ended = models.ended(held)
    if known or ended is None:
        return known, found
    again = predict(ended, batch)
    same = all(np.array_equal(found[name], again[name], equal_nan=True) for name in found)
    return "" if same else listing(models.changed), found
