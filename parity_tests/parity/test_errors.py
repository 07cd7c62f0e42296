"""What messages say of many names."""

from __future__ import annotations

from parity.errors import listing


def test_of_many_names_the_first_are_told() -> None:
    assert listing(["a", "b"]) == "a, b"
    assert listing([*"abcdef"]) == "a, b, c, d and 2 more"
