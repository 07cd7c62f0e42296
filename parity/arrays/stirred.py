"""Parameters that are all 0 or all 1, moved off: in an untrained model they hide what is done with them.

A norm's fresh scale and bias may be divided by, subtracted or forgotten, and its running statistics swapped: the output
is the same. Training moves them. A pair that does not train is shown the model as it is at its first step, and with
these numbers moved at all others and in its scores. What was trained holds none that are all 0 or all 1.
"""

from __future__ import annotations

from collections.abc import Collection

import numpy as np

from parity.errors import listing
from parity.recording import Array, Arrays, Recording

LEAST, MOST = 0.05, 0.25
"""How far a number is moved, upwards: of a root or a logarithm nothing negative becomes."""
NEAR = 1e-6
"""How near to 0 or 1 all numbers have to be: noise moves them by a unit in the last place, and stays noise."""
STATISTICS = ("running_mean", "running_var")
"""The buffers that are moved, too. Others may be masks or tables."""


def stirred(arrays: Arrays, buffers: Collection[str]) -> Arrays:
    """Those of the arrays that are all 0 or all 1, moved, always to the same numbers; of `buffers` statistics alone."""
    names = [name for name in arrays if name not in buffers or name.rpartition(".")[2] in STATISTICS]
    return {name: _moved(name, arrays[name]) for name in names if _is_fresh(arrays[name])}


def _is_fresh(array: Array) -> bool:
    if array.dtype.kind != "f" or not array.size:
        return False
    return any(bool((np.abs(array - start) <= NEAR).all()) for start in (0, 1))


def _moved(name: str, array: Array) -> Array:
    far = np.random.default_rng(list(name.encode())).uniform(LEAST, MOST, array.shape)
    return np.asarray(array + np.asarray(far, array.dtype), array.dtype)


def never_stirred(run: Recording, steps: int) -> list[str]:
    """What was not seen in a run that trains nothing and was shown these parameters as they are alone."""
    names = sorted(run.of("init", 1))
    if not names or steps > 1 or "score" in run.stages:
        return []
    return [f"what is done with these, which begin as all 0 or all 1: {listing(names)}: two steps or more show it"]
