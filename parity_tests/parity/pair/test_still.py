"""How what stands still is offered to be declared frozen."""

from __future__ import annotations

import pytest

from parity.pair.still import offered

ALL = ("old.0.weight", "old.0.bias", "old.1.weight", "fc.weight", "fc.bias", "scale")


@pytest.mark.parametrize(
    ("still", "declared"),
    [
        (("old.0.weight", "old.0.bias", "old.1.weight"), '("old.*",)'),
        (("old.0.weight", "old.0.bias"), '("old.0.*",)'),
        (("fc.weight", "scale"), '("fc.weight", "scale")'),
        (("old.1.weight",), '("old.1.weight",)'),
    ],
)
def test_a_module_that_stands_still_is_named_as_a_whole(still: tuple[str, ...], declared: str) -> None:
    assert offered(still, ALL) == f"; if no step is to move them, declare that in the pair: frozen={declared}"


def test_not_everything_can_be_frozen() -> None:
    assert offered(ALL, ALL) == ""
