"""Arrays that a model holds under more than one name, as tied weights are."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from parity.errors import NotCheckable
from parity.recording import Arrays


def under_first_names(arrays: Arrays, tied: Mapping[str, str]) -> Arrays:
    """The arrays of a checkpoint, what is `tied` under its first name alone.

    A `state_dict` has it under each of its names, and what drops all but one may keep any.

    Raises:
        NotCheckable: two names of one array hold different numbers.
    """
    found = {name: array for name, array in arrays.items() if name not in tied}
    for name, first in tied.items():
        if name in arrays and not np.array_equal(found.setdefault(first, arrays[name]), arrays[name], equal_nan=True):
            raise NotCheckable(
                f"the parameters hold other numbers in {name} than in {first}, which are one tensor in the torch "
                "side's model: leave one of them out"
            )
    return found
