"""Nested batches taken apart and put together again."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from parity.arrays.tree import leaves, nested

NAMES = st.text("abc._", min_size=1, max_size=3)
TREES = st.dictionaries(
    NAMES,
    st.recursive(
        st.integers(),
        lambda inner: st.lists(inner, min_size=1, max_size=12) | st.dictionaries(NAMES, inner, min_size=1, max_size=3),
        max_leaves=20,
    ),
)


@given(TREES)
def test_what_was_taken_apart_comes_back(tree: dict[str, Any]) -> None:
    assert nested(dict(leaves(tree))) == tree


def test_a_name_is_the_way_to_a_leaf() -> None:
    tree = {"inputs": {"ids": 1, "pair": (2, [3])}, "mask": None}
    assert dict(leaves(tree)) == {"inputs/ids": 1, "inputs/pair/#0": 2, "inputs/pair/#1/#0": 3}


@pytest.mark.parametrize("key", ["a/b", "#0", "", 3])
def test_a_key_that_would_read_as_a_way_is_refused(key: Any) -> None:
    with pytest.raises(ValueError, match="an entry is called"):
        dict(leaves({key: 1}))
