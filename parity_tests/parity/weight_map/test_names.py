"""Names with the habits of both worlds taken out."""

from __future__ import annotations

import pytest

from parity.weight_map.names import is_bias
from parity.weight_map.outline import Shape


@pytest.mark.parametrize(
    ("own", "shape", "expected"),
    [
        ("bias", (3,), True),
        ("in_proj_bias", (9,), True),
        ("bias", (2, 3), True),
        ("b", (3,), True),
        ("offset", (3,), True),
        # A factor of a low-rank product, as LoRA calls it.
        ("B", (3, 2), False),
        ("w", (3,), False),
        ("scale", (3,), False),
    ],
)
def test_a_bias_is_known_by_its_name(own: str, shape: Shape, expected: bool) -> None:
    assert is_bias(own, shape) is expected
